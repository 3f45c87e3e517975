"""What the tests of the core share."""

from pubsub.core.broker import Broker
from pubsub.core.client import Client
from pubsub.core.frame import Frame
from pubsub.core.limits import Limits
from pubsub.core.topic import Topic


def event(payload: str, topic: Topic | None = None) -> Frame:
    """Return an event of a topic, or one that is to be published; its text is opaque here."""
    return Frame(payload.encode(), topic)


def reply(payload: str) -> Frame:
    """Return a frame that may not be dropped."""
    return Frame(payload.encode())


def describe_loss(topic: str, count: int) -> Frame:
    """Return the notice of a loss."""
    return reply(f"{topic} lost {count}")


def make_broker(**limits: object) -> Broker:
    """Return a broker with these limits."""
    return Broker(Limits(**limits), describe_loss=describe_loss)


def join(broker: Broker, *topics: str) -> Client:
    """Connect a client that nobody wakes, and subscribe it."""
    client = broker.connect(on_frames=lambda: None, on_full=lambda: None, on_overflow=lambda: None)
    for topic in topics:
        broker.subscribe(client, topic)
    return client


def read(client: Client, max_bytes: int = 1 << 20) -> list[str]:
    """Take what waits for a client, as its write pump would."""
    texts: list[str] = []
    while not client.outbox.empty():
        texts += [frame.text for frame in client.outbox.take_nowait(max_bytes)]
    return texts
