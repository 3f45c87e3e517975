"""Heartbeats: what a process sends to the others each second, and what they know from it."""

from typing import Annotated

import msgspec

from pubsub.cluster.names import ProcessId
from pubsub.core.counters import Statistics

Count = Annotated[int, msgspec.Meta(ge=0)]


class Totals(msgspec.Struct, array_like=True, frozen=True):
    """The totals of one process; see `pubsub.core.counters.Statistics`."""

    uptime: float
    topics: Count
    clients: Count
    subscribers: Count
    messages: Count
    delivered: Count
    dropped: Count
    history_bytes: Count
    history_evicted: Count

    @classmethod
    def of(cls, statistics: Statistics) -> "Totals":
        """Return the totals of a broker."""
        return cls(*(getattr(statistics, name) for name in cls.__struct_fields__))


class Beat(msgspec.Struct, array_like=True):
    """A heartbeat."""

    process: ProcessId
    number: int
    """It grows by one with each heartbeat, so that others notice a lost one."""
    serves: bool
    is_leaving: bool
    totals: Totals
    positions: dict[int, Count]
    counts: dict[str, Count]
    """The number of subscribers of each topic where it has changed since the last heartbeat."""


class Peer:
    """Another process, as of its last heartbeat.

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
        return f"<Peer {self.id}, {'alive' if self.is_alive else 'silent'}>"
