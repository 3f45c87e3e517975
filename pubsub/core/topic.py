"""One topic: its subscribers, its counters and, if it keeps any, its last messages."""

from collections.abc import Iterable
from dataclasses import dataclass

from pubsub.core.client import Client
from pubsub.core.errors import InvalidTopicName
from pubsub.core.frame import Frame
from pubsub.core.history import History

MAX_NAME_LENGTH = 128


def validate_name(name: str) -> str:
    """Return ``name``, if it is one: 1 to 128 printable characters, no white space, no ``/``.

    Raises:
        InvalidTopicName: It is not.
    """
    # str.isprintable() is false for every separator but the space.
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable() or {" ", "/"} & set(name):
        raise InvalidTopicName(name)
    return name


@dataclass(frozen=True, slots=True)
class TopicStatistics:
    """One topic's counters, since it was created.

    ``messages`` were published; ``delivered`` counts each of them once for every subscriber in
    whose outbox it was put; ``dropped`` once for every subscriber that lost it.
    """

    messages: int
    subscribers: int
    delivered: int
    dropped: int


class Topic:
    """A named channel that carries each publication to all its subscribers but the publisher."""

    __slots__ = ("dropped", "history", "messages", "name", "offered", "subscribers")

    def __init__(self, name: str, *, history_size: int = 0) -> None:
        self.name = validate_name(name)
        self.subscribers: dict[Client, None] = {}
        self.history = History(history_size) if history_size else None
        self.messages = 0
        self.offered = 0
        self.dropped = 0

    def publish(self, frame: Frame, publisher: Client | None) -> int:
        """Offer the event to every subscriber but the publisher; return how many those are."""
        self.messages += 1
        if self.history is not None:
            self.history.append(frame, publisher.id if publisher else None)
        subscribers = self.subscribers
        count = len(subscribers)
        if publisher in subscribers:
            count -= 1
            for client in subscribers:
                if client is not publisher:
                    client.outbox.offer(frame)
        else:
            for client in subscribers:
                client.outbox.offer(frame)
        self.offered += count
        return count

    def replay(self, count: int, reader: Client) -> Iterable[Frame]:
        """Return the newest ``count`` kept events that ``reader`` did not publish, oldest first."""
        if self.history is None or count == 0:
            return ()
        return self.history.last(count, reader_id=reader.id)

    def statistics(self) -> TopicStatistics:
        """Return the counters as they stand."""
        return TopicStatistics(
            messages=self.messages,
            subscribers=len(self.subscribers),
            delivered=self.offered - self.dropped,
            dropped=self.dropped,
        )

    def __repr__(self) -> str:
        return f"<Topic {self.name!r}, {len(self.subscribers)} subscribers>"
