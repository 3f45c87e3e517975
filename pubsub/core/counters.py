"""The counters of topics, as plain integers, and snapshots of them."""

from dataclasses import dataclass


class Counters:
    """Messages published, deliveries queued and deliveries lost."""

    __slots__ = ("delivered", "dropped", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.delivered = 0
        self.dropped = 0

    def add(self, other: "Counters") -> None:
        """Add the counts of ``other`` to these."""
        self.messages += other.messages
        self.delivered += other.delivered
        self.dropped += other.dropped


class TopicCounters(Counters):
    """The counters of one topic.

    Frames refer to the counters rather than to the topic, so that a loss is counted even after the
    topic was deleted.
    """

    __slots__ = ("_successor", "topic")

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic
        self._successor: Counters = self

    def count_loss(self, events: int = 1, *, delivered: int = 0) -> None:
        """Count ``events`` as lost; ``delivered`` of them were already counted as delivered."""
        self._successor.dropped += events
        self._successor.delivered -= delivered

    def hand_over(self, successor: Counters) -> None:
        """Add these counts to ``successor``, and count all later losses there."""
        successor.add(self)
        self._successor = successor

    def statistics(self, subscribers: int) -> "TopicStatistics":
        """Return a snapshot of the counters."""
        return TopicStatistics(
            messages=self.messages,
            subscribers=subscribers,
            delivered=self.delivered,
            dropped=self.dropped,
        )


@dataclass(frozen=True, slots=True)
class TopicStatistics:
    """One topic's counters since it was created.

    ``messages`` counts publications. ``delivered`` counts each of them once for every subscriber
    whose outbox took it, and ``dropped`` once for every subscriber that lost it.
    """

    messages: int
    subscribers: int
    delivered: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """The counters of a broker. The totals include deleted topics."""

    uptime: float
    """Seconds since the broker was created."""

    topics: dict[str, TopicStatistics]
    clients: int
    subscribers: int
    """Subscriptions over all topics."""

    messages: int
    delivered: int
    dropped: int
    history_bytes: int
    """Bytes that all histories take in total."""

    history_evicted: int
    """Messages evicted because the histories exceeded ``history_bytes``."""
