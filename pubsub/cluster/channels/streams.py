"""What has arrived from one process in one partition, and what is missing."""

import asyncio
from collections import deque
from typing import NamedTuple

from pubsub.cluster.channels.batches import Batch, Item


class Gap(NamedTuple):
    """Publications that were lost, by their sequence numbers."""

    first: int
    last: int
    noticed: float
    """When it was noticed, by the clock of the broker."""

    @property
    def size(self) -> int:
        """The number of publications."""
        return self.last - self.first + 1


class Held(NamedTuple):
    """A batch that waits until the loss before it is reported."""

    batch: Batch
    size: int
    """Bytes of the encoded batch."""
    work: int
    """Work of delivering it, in the unit of `pubsub.fairness`."""
    arrived: float


class Stream:
    """The publications of one process in one partition, as far as they have arrived.

    Args:
        process_id: The process.
        partition: The partition.
        settled: The sequence number up to which nothing is missing that matters.
        since: When that was so, in seconds by the clock of the broker.
    """

    __slots__ = (
        *("awaited", "gap", "held", "partition", "process_id", "received", "settled", "since"),
        "task",
    )

    def __init__(self, process_id: str, partition: int, settled: int, since: float) -> None:
        self.process_id = process_id
        self.partition = partition
        self.settled = settled
        self.since = since
        self.received = 0
        """The highest sequence number that was delivered or reported as lost. A publication above
        it, but not above ``settled``, is delivered if it arrives, and no loss if it does not."""
        self.awaited = 0
        """The highest sequence number that the process is known to have reached."""
        self.gap: Gap | None = None
        """What was lost, until subscribers are notified of it."""
        self.held: deque[Held] = deque()
        """What has arrived since, oldest first."""
        self.task: asyncio.Task[None] | None = None
        """Asks the process what was lost."""

    def gap_before(self, batch: Batch, now: float) -> Gap | None:
        """Return what is missing before a batch."""
        if batch.first <= self.settled + 1:
            return None
        return Gap(self.settled + 1, batch.first - 1, now)

    def gap_to(self, position: int, now: float) -> Gap | None:
        """Return what is missing up to a position."""
        return Gap(self.settled + 1, position, now) if position > self.settled else None

    def take(self, batch: Batch, arrived: float) -> list[Item]:
        """Take a batch before which nothing is missing, and return the part that is new."""
        new = batch.items[max(0, self.received + 1 - batch.first) :]
        self.received = max(self.received, batch.last)
        self.settled = max(self.settled, batch.last)
        self.since = max(self.since, arrived)
        return new

    def end_gap(self) -> None:
        """Go on behind the gap, because subscribers are notified of it."""
        assert self.gap is not None  # noqa: S101  # the caller has looked
        self.settled = max(self.settled, self.gap.last)
        self.received = max(self.received, self.gap.last)
        self.since = max(self.since, self.gap.noticed)
        self.gap = None

    def __repr__(self) -> str:
        return (
            f"<Stream of {self.process_id} in partition {self.partition}, up to {self.settled}, "
            f"{len(self.held)} batches held>"
        )
