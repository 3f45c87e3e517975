"""The counters of topics, as plain integers, and snapshots of them."""

from dataclasses import dataclass

from pubsub.core.options import Overflow


class Counters:
    """Messages published, deliveries queued and deliveries lost."""

    __slots__ = ("delivered", "dropped", "dropped_from_history", "messages")

    def __init__(self) -> None:
        self.messages = 0
        self.delivered = 0
        self.dropped = 0
        self.dropped_from_history = 0
        """Those of ``dropped`` that were replays of events which the history kept no longer."""


class TotalCounters(Counters):
    """The counters of all topics together, including deleted ones."""

    __slots__ = ("offered",)

    def __init__(self) -> None:
        super().__init__()
        self.offered = 0
        """Sum over all messages of the subscribers that each was meant for."""


class TopicCounters(Counters):
    """The counters of one topic. Whatever they count is also counted in ``total``.

    Frames refer to the counters rather than to the topic, so that a loss is counted in the total
    even after the topic was deleted. For the same reason the overflow policy is here: an outbox
    needs it, if at all, in the moment before a loss.
    """

    __slots__ = ("overflow", "topic", "total")

    def __init__(
        self,
        topic: str,
        total: TotalCounters | None = None,
        overflow: Overflow = Overflow.DROP_NEWEST,
    ) -> None:
        super().__init__()
        self.topic = topic
        self.overflow = overflow
        self.total = TotalCounters() if total is None else total
        """The counters of all topics together, including deleted ones."""

    def count_loss(self, events: int = 1) -> None:
        """Count events as lost that were already counted as delivered."""
        for counters in (self, self.total):
            counters.dropped += events
            counters.delivered -= events

    def count_lost_replay(self, events: int) -> None:
        """Count ``events`` as lost that were to be replayed, and that the history has evicted."""
        for counters in (self, self.total):
            counters.dropped += events
            counters.dropped_from_history += events

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
class ClientStatistics:
    """One client: what it is subscribed to, and what waits for it."""

    id: str
    joined: int
    """The position in the order of connection; see `Client`."""

    topics: list[str]
    """In the order of subscription."""

    queued: int
    """Frames in its outbox."""

    dropped: int
    """Events that it lost since it connected."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """The totals of a broker, all of which are counted as they change.

    Messages, deliveries and losses include those of deleted topics. Every event that was offered to
    a subscriber was delivered or dropped from its queue, so ``offered`` is the sum of ``delivered``
    and ``dropped`` less ``dropped_from_history``: replayed events are not offered.
    """

    uptime: float
    """Seconds since the broker was created."""

    topics: int
    clients: int
    subscribers: int
    """Subscriptions over all topics."""

    messages: int
    client_publications: int
    """Those of ``messages`` that connected clients published."""

    offered: int
    """Sum over all messages of the subscribers that each was meant for."""

    delivered: int
    dropped: int
    dropped_from_history: int
    """Those of ``dropped`` that were replays of events which the history kept no longer."""

    recovered: int
    """Subscriptions that recovered everything after their position."""

    not_recovered: int
    """Subscriptions that asked for that when it was not possible."""

    repetitions: int
    """Publications that were not delivered because they repeated an earlier one."""

    history_bytes: int
    """Bytes that all histories take in total."""

    history_evicted: int
    """Messages evicted because the histories exceeded ``history_bytes``."""
