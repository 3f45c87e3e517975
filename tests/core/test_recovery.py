"""Positions, recovery after a reconnection, and pages of history."""

import pytest

from pubsub.core import history, topic
from pubsub.core.broker import Broker
from pubsub.core.client import Client
from pubsub.core.errors import NoHistory, TopicNotFound
from pubsub.core.options import GivenOptions
from pubsub.core.publication import Position
from pubsub.core.topic import NOTHING_PAST, HistoryPage, Recover, Subscribed
from tests.core.support import join, make_broker, publish, reply


def make(messages: str = "abcde", **config: int) -> Broker:
    """Return a broker whose topic ``t`` has kept up to four of these messages."""
    broker = make_broker(history_size=4, **config)
    broker.create_topic("t")
    for message in messages:
        publish(broker, "t", message)
    return broker


def epoch(broker: Broker) -> str:
    """Return the epoch of the topic ``t``."""
    return broker.topic("t").epoch


def recover(
    broker: Broker, offset: int, *, client: Client | None = None, last_n: int = 0, **other: str
) -> tuple[bool | None, str]:
    """Subscribe and recover; return whether that was possible, and what is replayed."""
    since = Position(other.get("epoch", epoch(broker)), offset)
    asked = Recover(since, other.get("client_id"))
    client = client or join(broker)
    subscribed = broker.subscribe(client, "t", recover=asked, last_n=last_n)
    replay = subscribed.replay
    texts = [] if replay is None else [frame.text for frame in replay.take(1 << 20)]
    return subscribed.recovered, "".join(texts)


def test_epochs() -> None:
    """Every topic with history has an epoch of its own, also when it is created anew."""
    broker = make()
    first = epoch(broker)
    broker.delete_topic("t", reply("deleted"))
    broker.create_topic("t")
    assert len({first, epoch(broker)}) == 2
    assert {len(first), len(epoch(broker))} == {8}
    broker.create_topic("plain", GivenOptions(history=0))
    assert broker.topic("plain").epoch == ""


def test_position_of_a_subscription() -> None:
    """A subscription knows where its live events begin, at every repetition of it too."""
    broker = make()
    client = join(broker)
    assert broker.subscribe(client, "t") == Subscribed(None, Position(epoch(broker), 5))
    publish(broker, "t", "f")
    assert broker.subscribe(client, "t") == Subscribed(None, Position(epoch(broker), 6))


def test_topic_without_history() -> None:
    """Without history there are no positions, and nothing can be recovered."""
    broker = make_broker()
    broker.create_topic("t")
    client = join(broker)
    assert broker.subscribe(client, "t") is NOTHING_PAST
    assert broker.subscribe(client, "t") is NOTHING_PAST
    asked = Recover(Position("", 0))
    assert broker.subscribe(client, "t", recover=asked) == Subscribed(recovered=False)
    assert broker.subscribe(join(broker), "t", recover=asked) == Subscribed(recovered=False)
    assert broker.publish("t", "id", "a").offset is None


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (1, (True, "bcde")),
        (4, (True, "e")),
        (5, (True, "")),
        (0, (False, "")),
        (6, (False, "")),
        (10**30, (False, "")),
    ],
    ids=["all", "one", "none missed", "too old", "future", "far future"],
)
def test_recovery(offset: int, expected: tuple[bool, str]) -> None:
    """Either everything after a position is replayed, or nothing is."""
    assert recover(make(), offset) == expected


def test_recovery_of_another_epoch() -> None:
    """The position of another topic, or of an earlier one of this name, is not recovered."""
    broker = make()
    assert recover(broker, 4, epoch="another1") == (False, "")
    assert recover(broker, 4, epoch="another1", last_n=2) == (False, "de")
    assert recover(broker, 4, last_n=2) == (True, "e")


def test_recovery_limit() -> None:
    """More messages than the limit are not recovered."""
    broker = make(recovery_limit=2)
    assert recover(broker, 3) == (True, "de")
    assert recover(broker, 2) == (False, "")


def test_own_messages_are_not_recovered() -> None:
    """Neither those of the client's former connection nor those of this one come back."""
    broker = make("")
    former, client = join(broker), join(broker)
    for text, publisher in [("a", former), ("b", client), ("c", None), ("d", former)]:
        publish(broker, "t", text, publisher)
    assert recover(broker, 0, client=client, client_id=former.id) == (True, "c")
    assert recover(broker, 0, client_id=former.id) == (True, "bc")
    assert recover(broker, 3, client_id=former.id) == (True, "")


def test_recovery_of_a_living_subscription() -> None:
    """A client that is subscribed recovers nothing, because it would get events again."""
    broker = make()
    client = join(broker, "t")
    assert recover(broker, 4, client=client) == (False, "")


def read(page: HistoryPage) -> tuple[bool, int, str]:
    """Return whether a page is complete, and its messages with the offset of the first, or 0."""
    first = page.frames[0].offset if page.frames else 0
    return page.complete, first, "".join(frame.text for frame in page.frames)


def test_newest_history() -> None:
    """Without a position a page has the newest messages, oldest first."""
    broker = make()
    assert read(broker.history("t", limit=2)) == (True, 4, "de")
    assert read(broker.history("t", limit=9)) == (True, 2, "bcde")
    assert broker.history("t", limit=9).position == Position(epoch(broker), 5)
    assert read(make("").history("t", limit=9)) == (True, 0, "")


@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [
        (1, 9, (True, 2, "bcde")),
        (2, 2, (True, 3, "cd")),
        (5, 9, (True, 0, "")),
        (0, 2, (False, 2, "bc")),
        (6, 9, (False, 2, "bcde")),
    ],
    ids=["all", "some", "none", "too old", "future"],
)
def test_history_after_a_position(offset: int, limit: int, expected: tuple[bool, int, str]) -> None:
    """After a position a page has the oldest messages, and says if some are missing before."""
    broker = make()
    since = Position(epoch(broker), offset)
    assert read(broker.history("t", since=since, limit=limit)) == expected


def test_history_of_another_epoch() -> None:
    """After a position of another epoch everything that is kept is new."""
    page = make().history("t", since=Position("another1", 3), limit=9)
    assert read(page) == (False, 2, "bcde")


def test_size_of_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends before it exceeds its bound in bytes, but has at least one message."""
    broker = make()
    monkeypatch.setattr(topic, "MAX_PAGE_BYTES", 3)
    assert read(broker.history("t", limit=9)) == (True, 3, "cde")
    since = Position(epoch(broker), 1)
    assert read(broker.history("t", since=since, limit=9)) == (True, 2, "bcd")
    publish(broker, "t", "long")
    assert read(broker.history("t", limit=9)) == (True, 6, "long")


def test_no_history() -> None:
    """There is no history of a topic that keeps none, or that does not exist."""
    broker = make_broker()
    broker.create_topic("t")
    with pytest.raises(NoHistory):
        broker.history("t", limit=1)
    with pytest.raises(TopicNotFound):
        broker.history("u", limit=1)


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


def test_old_messages_disappear(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is kept for ``history_seconds``, whether the broker forgets regularly or not."""
    clock = Clock()
    broker = make_broker(clock=clock)
    for name in "tu":
        broker.create_topic(name, GivenOptions(history=9, history_seconds=10))
        for second, text in enumerate("abc"):
            clock.now = second
            publish(broker, name, text)
    clock.now = 11
    assert read(broker.history("t", limit=9)) == (True, 3, "c")
    assert recover(broker, 1) == (False, "")
    assert recover(broker, 2) == (True, "c")
    publish(broker, "t", "d")
    assert broker.topic("u").position == Position(broker.topic("u").epoch, 3)
    monkeypatch.setattr(history, "EXPIRED_AT_ONCE", 2)
    assert broker.forget_expired()
    assert not broker.forget_expired()
    assert broker.statistics().history_bytes == 3 * (1 + history.OVERHEAD)
    broker.delete_topic("t", reply("deleted"))
    assert broker.statistics().history_bytes == 1 + history.OVERHEAD
