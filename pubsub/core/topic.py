"""One topic: its subscribers, its counters and, if it keeps any, its last messages."""

from dataclasses import dataclass

from pubsub.core.client import Client
from pubsub.core.frame import Frame
from pubsub.core.history import History, Replay
from pubsub.core.names import validate_name
from pubsub.core.outbox import Outbox


class Counters:
    """What has been published, delivered and dropped so far."""

    __slots__ = ("delivered", "dropped", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.delivered = 0
        self.dropped = 0

    def add(self, other: "Counters") -> None:
        """Add what ``other`` has counted."""
        self.messages += other.messages
        self.delivered += other.delivered
        self.dropped += other.dropped


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

    __slots__ = ("counters", "history", "name", "subscribers")

    def __init__(self, name: str, *, history_size: int = 0) -> None:
        self.name = validate_name(name)
        self.subscribers: dict[Client, Outbox] = {}
        self.history = History(history_size) if history_size else None
        self.counters = Counters()

    def publish(self, frame: Frame, publisher: Client | None) -> int:
        """Offer the event to every subscriber but the publisher; return how many those are."""
        frame.topic = self
        if self.history is not None:
            self.history.append(frame, publisher.id if publisher else None)
        subscribers = self.subscribers
        count = len(subscribers)
        counters = self.counters
        counters.messages += 1
        if publisher in subscribers:
            count -= 1
            counters.delivered += count
            own = subscribers[publisher]
            for outbox in subscribers.values():
                if outbox is not own:
                    outbox.offer(frame)
        else:
            counters.delivered += count
            for outbox in subscribers.values():
                outbox.offer(frame)
        return count

    def count_loss(self, events: int = 1, *, delivered: int = 0) -> None:
        """Count events that one subscriber loses, of which so many were counted as delivered."""
        self.counters.dropped += events
        self.counters.delivered -= delivered

    def replay(self, count: int, reader: Client) -> Replay | None:
        """Return the newest ``count`` kept events that ``reader`` did not publish, if any."""
        if self.history is None:
            return None
        return self.history.replay(count, topic=self, reader_id=reader.id)

    def close(self, successor: Counters) -> None:
        """Let go everything; from now on ``successor`` counts what is lost of it."""
        for client in self.subscribers:
            del client.topics[self.name]
        self.subscribers.clear()
        if self.history is not None:
            self.history.clear()
        successor.add(self.counters)
        self.counters = successor

    def statistics(self) -> TopicStatistics:
        """Return the counters as they stand."""
        return TopicStatistics(
            messages=self.counters.messages,
            subscribers=len(self.subscribers),
            delivered=self.counters.delivered,
            dropped=self.counters.dropped,
        )

    def __repr__(self) -> str:
        return f"<Topic {self.name!r}, {len(self.subscribers)} subscribers>"
