"""The counters of topics, as plain integers, and snapshots of them."""

from dataclasses import dataclass


class Counters:
    """Messages published, deliveries queued and deliveries lost."""

    __slots__ = ("delivered", "dropped", "dropped_from_history", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.delivered = 0
        self.dropped = 0
        self.dropped_from_history = 0
        """Those of ``dropped`` that were replays of events which the history kept no longer."""

    def add(self, other: "Counters") -> None:
        """Add the counts of ``other`` to these."""
        self.messages += other.messages
        self.delivered += other.delivered
        self.dropped += other.dropped
        self.dropped_from_history += other.dropped_from_history


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

    def count_loss(self) -> None:
        """Count an event as lost that was already counted as delivered."""
        self._successor.dropped += 1
        self._successor.delivered -= 1

    def count_lost_replay(self, events: int) -> None:
        """Count ``events`` as lost that were to be replayed, and that the history has evicted."""
        self._successor.dropped += events
        self._successor.dropped_from_history += events

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


@dataclass(frozen=True, slots=True)
class Totals:
    """The totals of a broker, including deleted topics.

    Every event that was offered to a subscriber was delivered or dropped from its queue, so
    ``offered`` is the sum of ``delivered`` and ``dropped_from_queues``. Replayed events are not
    offered.
    """

    topics: int
    subscriptions: int
    """Subscriptions over all topics."""

    messages: int
    client_publications: int
    """Those of ``messages`` that connected clients published."""

    other_publications: int
    offered: int
    """Sum over all publications of the subscribers that each was meant for."""

    delivered: int
    dropped_from_queues: int
    """Events dropped because a subscriber's outbox was full."""

    dropped_from_history: int
    """Events that the history evicted before they could be replayed to a subscriber."""

    history_bytes: int
    """Bytes that all histories take in total."""

    history_evicted: int
    """Messages evicted because the histories exceeded ``history_bytes``."""
