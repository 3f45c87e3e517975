"""Heartbeats: what a process tells the others each second, and what they know of it from that."""

import msgspec

from pubsub.core.counters import Statistics


class Totals(msgspec.Struct, array_like=True, frozen=True):
    """The totals of one process; see `pubsub.core.counters.Statistics`."""

    uptime: float
    topics: int
    clients: int
    subscribers: int
    messages: int
    delivered: int
    dropped: int
    history_bytes: int
    history_evicted: int

    @classmethod
    def of(cls, statistics: Statistics) -> "Totals":
        """Return those of a broker."""
        return cls(*(getattr(statistics, name) for name in cls.__struct_fields__))


class Beat(msgspec.Struct, array_like=True):
    """A heartbeat."""

    process: str
    number: int
    """It grows by one, so the gap that a lost heartbeat leaves is seen."""
    serves: bool
    is_leaving: bool
    totals: Totals
    positions: dict[int, int]
    counts: dict[str, int]
    """The new number of subscribers of topics where it has changed since the last heartbeat."""


class Member:
    """Another process, as it was when it was last heard.

    ``counts`` has its topics with subscribers, and their number. ``serves`` is false for a process
    that publishes only. ``heard`` is the time of its last heartbeat.
    """

    __slots__ = (
        *("counts", "heard", "id", "is_alive", "must_ask", "number", "recent", "serves"),
        *("silent_since", "totals"),
    )

    def __init__(self, process_id: str) -> None:
        self.id = process_id
        self.serves = True
        self.totals = Totals(0, 0, 0, 0, 0, 0, 0, 0, 0)
        self.heard = self.silent_since = 0.0
        self.is_alive = False
        self.counts: dict[str, int] = {}
        self.number = 0
        self.must_ask = False
        """Whether counts may have been lost, so that all must be asked for."""
        self.recent: set[str] | None = None
        """The topics in heartbeats since that question; ``None`` while there is none."""

    def __repr__(self) -> str:
        return f"<Member {self.id}, {'alive' if self.is_alive else 'silent'}>"
