"""Helpers shared by the tests of the core."""

from collections.abc import Iterator
from typing import Any, TypeVar

from pubsub.core.broker import Broker
from pubsub.core.client import Client
from pubsub.core.configuration import Configuration
from pubsub.core.counters import TopicCounters
from pubsub.core.history import History, HistoryBudget
from pubsub.core.loss import Gap, Loss
from pubsub.core.notices import Notice
from pubsub.core.publication import Frame, Publication
from pubsub.core.shared import SharedBroker

Row = TypeVar("Row")


def event(payload: str, counters: TopicCounters) -> Frame:
    """Return an event of a topic whose text is the payload."""
    return Frame(payload.encode(), counters)


def reply(payload: str) -> Frame:
    """Return a frame that must not be dropped."""
    return Frame(payload.encode())


def encode(publication: Publication) -> bytes:
    """Encode an event as its payload alone."""
    return str(publication.payload).encode()


def describe_loss(loss: Loss) -> Frame:
    """Return the notice that reports a loss, with its offsets if the topic keeps history."""
    if isinstance(loss, Gap):
        return reply(f"{loss.topic} gap {'at most ' * loss.is_bound}{loss.dropped}")
    offsets = "" if loss.first is None else f", {loss.first} to {loss.last}"
    return reply(f"{loss.topic} lost {loss.dropped}{offsets}")


def describe_presence(notice: Notice) -> Frame:
    """Return the notice of who is there, as its `repr`."""
    return reply(repr(notice))


ARGUMENTS = ("encode", "encode_kept", "describe_loss", "describe_presence", "clock", "call_later")
"""Arguments of a broker that tests replace."""

AnyBroker = TypeVar("AnyBroker", bound=Broker)


def make_broker(**more: Any) -> Broker:
    """Return a broker with these arguments and, for the rest of them, this configuration."""
    return _make(Broker, more)


def make_shared_broker(**more: Any) -> SharedBroker:
    """Return a broker that shares its topics; see `make_broker`."""
    return _make(SharedBroker, more)


def _make(kind: type[AnyBroker], more: dict[str, Any]) -> AnyBroker:
    arguments = {name: more.pop(name) for name in ARGUMENTS if name in more}
    by_default: dict[str, Any] = {
        "encode": encode,
        "describe_loss": describe_loss,
        "describe_presence": describe_presence,
    }
    return kind(Configuration(**more), **by_default | arguments)


def make_history(capacity: int, max_bytes: int = 1 << 30) -> History:
    """Return a history with a budget of its own."""
    return History(capacity, HistoryBudget(max_bytes))


def publish(broker: Broker, topic: str, payload: str, publisher: Client | None = None) -> int:
    """Publish a message; its event is encoded as the payload alone."""
    return broker.publish(topic, "id", payload, publisher=publisher).subscribers


def join(broker: Broker, *topics: str) -> Client:
    """Connect a client whose callbacks do nothing, and subscribe it to these topics."""
    client = broker.connect(
        on_frames=lambda: None, on_full=lambda: None, on_overflow=lambda policy: None
    )
    for topic in topics:
        broker.subscribe(client, topic)
    return client


def one_slice(slices: Iterator[list[Row]]) -> list[Row]:
    """Return the rows of a listing that is read in one slice."""
    (rows,) = slices
    return rows


def read(client: Client, max_bytes: int = 1 << 20) -> list[str]:
    """Take everything queued for a client, as its write pump would."""
    texts: list[str] = []
    while not client.outbox.empty():
        texts += [frame.text for frame in client.outbox.take_nowait(max_bytes)]
    return texts
