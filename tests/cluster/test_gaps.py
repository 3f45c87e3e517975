"""Notices of what was lost between processes, for subscribers whose outbox is full."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from pubsub.cluster import gaps
from pubsub.core.configuration import Configuration
from pubsub.core.options import TopicOptions
from pubsub.core.publication import Frame
from pubsub.core.shared import SharedBroker
from pubsub.protocol import replies
from tests.clock import Clock

Tell = Callable[[SharedBroker], None]


@pytest.mark.parametrize(
    ("history", "tell", "number"),
    [
        (0, lambda broker: gaps.tell_count(broker, "t", 3, since=2000.0), {"dropped": 3}),
        (0, lambda broker: gaps.tell_count(broker, "t", 3, since=0.0), {"at_most": 3}),
        (0, lambda broker: gaps.tell_bound(broker, "t", 3), {"at_most": 3}),
        (9, lambda broker: gaps.tell_kept(broker, "t", 3), {"at_most": 3}),
    ],
)
@pytest.mark.parametrize("waiting", [0, 1])
def test_gap_has_its_number_whether_there_is_room_or_not(
    waiting: int, history: int, tell: Tell, number: dict[str, int]
) -> None:
    """A subscriber gets the exact number or the bound, later if its outbox is full."""
    broker = SharedBroker(
        Configuration(queue_size=1),
        encode=replies.encode_event,
        describe_loss=replies.encode_loss,
        describe_presence=replies.encode_presence,
        clock=Clock(),
    )
    broker.install("t", TopicOptions(history=history), "epoch001")
    client = broker.connect(
        on_frames=lambda: None, on_full=lambda: None, on_overflow=lambda policy: None
    )
    broker.subscribe(client, "t")
    for _ in range(waiting):
        client.outbox.put_reply(Frame(b"{}"))
    tell(broker)
    notices: list[Any] = []
    while frames := client.outbox.take_nowait(1 << 20):
        notices += [json.loads(frame.text) for frame in frames]
    assert len(notices) == waiting + 1
    assert notices[-1]["error"]["code"] == "RELAY_GAP"
    assert {key: notices[-1].get(key) for key in ("dropped", "at_most")} == {
        "dropped": None,
        "at_most": None,
        **number,
    }
