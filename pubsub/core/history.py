"""The last messages of each topic, and the bound that all of them share."""

import heapq
from collections import deque
from collections.abc import Iterator
from itertools import islice

from pubsub.core.counters import TopicCounters
from pubsub.core.publication import Frame

OVERHEAD = 256
"""Bytes that a kept message takes beside its payload: the objects that hold it."""


class HistoryBudget:
    """One bound in bytes for all histories of a broker.

    When they exceed it, the oldest message of the largest history goes first. A sixty-fourth is
    freed at a time, so that looking for the largest of thousands of histories is rare.

    Args:
        max_bytes: The bound; `OVERHEAD` counts for each message.
    """

    __slots__ = ("_histories", "evicted", "max_bytes", "used")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used = 0
        """Bytes that all histories take now."""
        self.evicted = 0
        """Messages evicted because of the bound."""
        self._histories: set[History] = set()

    def add(self, history: "History") -> None:
        """Let the bound cover one more history."""
        self._histories.add(history)

    def remove(self, history: "History") -> None:
        """Release everything that a history takes."""
        self._histories.discard(history)
        self.used -= history.size

    def evict(self) -> None:
        """Evict messages until the histories are within the bound again."""
        target = self.max_bytes - self.max_bytes // 64
        largest = [(-history.size, id(history), history) for history in self._histories]
        heapq.heapify(largest)
        while self.used > target:
            history = largest[0][2]
            history.evict_oldest()
            self.evicted += 1
            heapq.heapreplace(largest, (-history.size, id(history), history))


class History:
    """A ring buffer of the newest ``capacity`` events of one topic.

    Each event is kept with the id of the client that published it, never with the client
    itself: a client that has left must not live on in here.
    """

    __slots__ = ("_budget", "_events", "end", "size")

    def __init__(self, capacity: int, budget: HistoryBudget) -> None:
        self._events: deque[tuple[Frame, str | None]] = deque(maxlen=capacity)
        self._budget = budget
        budget.add(self)
        self.end = 0
        """Events that were ever kept; so the offset of the newest one, counted from 1."""
        self.size = 0
        """Bytes that the kept events take."""

    @property
    def capacity(self) -> int:
        """The number of events that are kept."""
        return self._events.maxlen or 0

    @property
    def start(self) -> int:
        """Events that were kept once and no longer are."""
        return self.end - len(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def append(self, frame: Frame, publisher_id: str | None) -> None:
        """Keep this event; the oldest one gives way when the buffer is full."""
        events, budget = self._events, self._budget
        if len(events) == events.maxlen:
            self.evict_oldest()
        events.append((frame, publisher_id))
        self.end += 1
        size = frame.size + OVERHEAD
        self.size += size
        budget.used += size
        if budget.used > budget.max_bytes:
            budget.evict()

    def evict_oldest(self) -> None:
        """Keep the oldest event no longer."""
        size = self._events.popleft()[0].size + OVERHEAD
        self.size -= size
        self._budget.used -= size

    def close(self) -> None:
        """Keep nothing, and release what was kept."""
        self._budget.remove(self)
        self._events.clear()
        self.size = 0

    def replay(self, count: int, *, counters: TopicCounters, reader_id: str) -> "Replay | None":
        """Return the newest ``count`` events that ``reader_id`` did not publish, if any."""
        start, found = self.end, 0
        for position, (_, publisher_id) in enumerate(reversed(self._events), start=1):
            if found == count:
                break
            if publisher_id != reader_id:
                found += 1
                start = self.end - position
        if not found:
            return None
        return Replay(self, counters, reader_id, start, self.end, found)

    def between(self, start: int, end: int) -> Iterator[tuple[Frame, str | None]]:
        """Return the events from the ``start``-th to before the ``end``-th that ever were kept."""
        return islice(self._events, max(0, start - self.start), max(0, end - self.start))


class Replay:
    """The past events that one client is still to get, oldest first.

    It is a cursor and holds none of them: they are looked up in the history when the client's
    socket has room for them. So a client that does not read costs nothing, and what the history
    loses in the meantime is lost for the client, too, and counted in ``counters``.
    """

    __slots__ = ("_end", "_history", "_next", "_reader_id", "_remaining", "counters")

    size = 0
    """Bytes that it takes in an outbox."""

    def __init__(
        self,
        history: History,
        counters: TopicCounters,
        reader_id: str,
        start: int,
        end: int,
        remaining: int,
    ) -> None:
        self._history = history
        self.counters = counters
        self._reader_id = reader_id
        self._next = start
        self._end = end
        self._remaining = remaining

    @property
    def remaining(self) -> int:
        """The number of events that the client is still to get."""
        return self._remaining

    def skip_lost(self) -> int:
        """Pass over the events that the history no longer keeps; return how many there are."""
        start = self._history.start
        if start <= self._next:
            return 0
        self._next = min(start, self._end)
        kept = sum(1 for _ in self._wanted())
        lost, self._remaining = self._remaining - kept, kept
        return lost

    def take(self, max_bytes: int) -> list[Frame]:
        """Take the next events, up to ``max_bytes`` of them but at least one, if one remains."""
        frames: list[Frame] = []
        for position, frame in self._wanted():
            if frames and frame.size > max_bytes:
                break
            frames.append(frame)
            max_bytes -= frame.size
            self._next = position + 1
        self._remaining -= len(frames)
        return frames

    def _wanted(self) -> Iterator[tuple[int, Frame]]:
        events = self._history.between(self._next, self._end)
        for position, (frame, publisher_id) in enumerate(events, start=self._next):
            if publisher_id != self._reader_id:
                yield position, frame
