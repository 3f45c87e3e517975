"""What a process remembers of its publications, to answer others that have lost some."""

from collections import Counter, defaultdict, deque
from itertools import islice

PER_PARTITION = 100_000
"""Publications of one partition whose topics are remembered."""

IN_ALL = 1_000_000
"""Publications of all partitions whose topics are remembered. Each takes 8 bytes."""

MAX_ANSWER_BYTES = 256 * 1024
"""Bytes of topic names in one answer."""

_EVICTED_AT_ONCE = 1_000


class SentLog:
    """The topics of the most recent publications, by partition and sequence number.

    Args:
        per_partition: The number of publications of one partition.
        in_all: The number of publications of all partitions; over it, the partition with the most
            of them forgets its oldest ones.
    """

    def __init__(self, per_partition: int = PER_PARTITION, in_all: int = IN_ALL) -> None:
        self._per_partition = per_partition
        self._in_all = in_all
        self._topics: defaultdict[int, deque[str]] = defaultdict(
            lambda: deque(maxlen=per_partition)
        )
        self._last: dict[int, int] = {}
        self._kept = 0

    def add(self, partition: int, topic: str) -> int:
        """Remember a publication, and return its sequence number in the partition."""
        topics = self._topics[partition]
        self._kept -= len(topics)
        topics.append(topic)
        self._kept += len(topics)
        if self._kept > self._in_all:
            self._evict()
        sequence = self._last[partition] = self._last.get(partition, 0) + 1
        return sequence

    def position(self, partition: int) -> int:
        """Return the sequence number of the last publication in a partition; 0 if none was."""
        return self._last.get(partition, 0)

    def positions(self) -> dict[int, int]:
        """Return all positions that are not 0, by partition."""
        return self._last.copy()

    def count(self, partition: int, first: int, last: int) -> dict[str, int] | None:
        """Return how many publications from ``first`` to ``last`` each topic had.

        Returns:
            The numbers by topic; ``None`` if some are forgotten, or there were never so many, or
            the answer would be too large to send.
        """
        topics = self._topics.get(partition, deque[str]())
        end = self.position(partition)
        start = end - len(topics) + 1
        if not start <= first <= last <= end:
            return None
        counts = Counter(islice(topics, first - start, last - start + 1))
        if sum(len(topic.encode()) for topic in counts) > MAX_ANSWER_BYTES:
            return None
        return dict(counts)

    def _evict(self) -> None:
        largest = max(self._topics.values(), key=len)
        for _ in range(min(_EVICTED_AT_ONCE, len(largest))):
            largest.popleft()
            self._kept -= 1

    def __repr__(self) -> str:
        return f"<SentLog of {self._kept} publications>"
