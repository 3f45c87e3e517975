"""The last messages of each topic, and the bound that all histories share."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import monotonic

from pubsub.core.counters import TopicCounters
from pubsub.core.publication import Frame

Own = tuple[str, ...]
"""The ids under which a reader has published: its own, and its former one after a reconnection."""

OVERHEAD = 256
"""Bytes that a kept message takes in addition to its payload, for the objects that hold it."""


EXPIRED_AT_ONCE = 10_000
"""Events that are evicted at a time because of their age: about 5 ms."""


class HistoryBudget:
    """One bound in bytes for all histories of a broker.

    When they exceed it, the oldest message of the largest history is evicted first. A 64th of the
    bound is freed at a time, so that the search for the largest history is rare.

    Args:
        max_bytes: The bound; each message counts with its payload and `OVERHEAD`.
    """

    __slots__ = ("_histories", "_limited", "clock", "evicted", "max_bytes", "used")

    def __init__(self, max_bytes: int, clock: Callable[[], float] = monotonic) -> None:
        self.max_bytes = max_bytes
        self.clock = clock
        """Returns the time in seconds by which events expire."""
        self.used = 0
        """Bytes that all histories take at present."""
        self.evicted = 0
        """Messages evicted because of the bound."""
        self._histories: set[History] = set()
        self._limited: set[History] = set()

    def add(self, history: "History") -> None:
        """Include a history in the bound."""
        self._histories.add(history)
        if history.max_age:
            self._limited.add(history)

    def remove(self, history: "History") -> None:
        """Release the bytes of a history."""
        self._histories.discard(history)
        self._limited.discard(history)
        self.used -= history.size

    def evict(self) -> None:
        """Evict messages until a 64th of the bound is free."""
        target = self.max_bytes - self.max_bytes // 64
        largest = [(-history.size, id(history), history) for history in self._histories]
        heapq.heapify(largest)
        while self.used > target:
            history = largest[0][2]
            history.evict_oldest()
            self.evicted += 1
            heapq.heapreplace(largest, (-history.size, id(history), history))

    def expire(self) -> bool:
        """Evict events that are too old, up to `EXPIRED_AT_ONCE`; return whether there are more."""
        left = EXPIRED_AT_ONCE
        for history in self._limited:
            left -= history.expire(left)
            if left <= 0:
                return True
        return False


class History:
    """A ring buffer of the newest ``capacity`` events of one topic.

    Each event is kept with the id of its publisher, not with the `Client`, so that the history
    does not keep a disconnected client in memory.

    Args:
        capacity: The largest number of events that are kept.
        budget: The bound in bytes that it shares.
        max_age: Seconds that an event is kept; 0 for no limit. Old events disappear with `expire`.
    """

    __slots__ = ("_born", "_budget", "_events", "end", "max_age", "size")

    def __init__(self, capacity: int, budget: HistoryBudget, max_age: float = 0.0) -> None:
        self.max_age = max_age
        self._born: deque[float] | None = deque() if max_age else None
        self._events: deque[tuple[Frame, str | None]] = deque(maxlen=capacity)
        self._budget = budget
        budget.add(self)
        self.end = 0
        """Number of events ever kept, which is the offset of the newest one (the first has 1)."""
        self.size = 0
        """Bytes that the kept events take."""

    @property
    def capacity(self) -> int:
        """The largest number of events that are kept."""
        return self._events.maxlen or 0

    @property
    def start(self) -> int:
        """Number of events that are no longer kept."""
        return self.end - len(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def append(self, frame: Frame, publisher_id: str | None) -> None:
        """Keep an event; evict the oldest one if the buffer is full."""
        events, budget = self._events, self._budget
        if self._born is not None:
            self.expire()
            self._born.append(budget.clock())
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
        """Evict the oldest event."""
        if self._born is not None:
            self._born.popleft()
        size = self._events.popleft()[0].size + OVERHEAD
        self.size -= size
        self._budget.used -= size

    def expire(self, limit: int = EXPIRED_AT_ONCE) -> int:
        """Evict events that are older than ``max_age``, up to ``limit``; return their number."""
        born = self._born
        if born is None:
            return 0
        oldest, count = self._budget.clock() - self.max_age, 0
        while born and born[0] <= oldest and count < limit:
            self.evict_oldest()
            count += 1
        return count

    def newest(self, limit: int, max_bytes: int) -> list[Frame]:
        """Return the newest events, up to a number and a size but at least one, oldest first."""
        found = _up_to(max_bytes, islice(reversed(self._events), limit))
        return found[::-1]

    def oldest_after(self, offset: int, limit: int, max_bytes: int) -> list[Frame]:
        """Return the oldest kept events after ``offset``, up to a number and a size."""
        return _up_to(max_bytes, self.between(offset, offset + limit))

    def close(self) -> None:
        """Discard every event and release its bytes."""
        self._budget.remove(self)
        self._events.clear()
        if self._born is not None:
            self._born.clear()
        self.size = 0

    def replay(self, count: int, *, counters: TopicCounters, own: Own) -> "Replay | None":
        """Return the newest ``count`` events that the reader did not publish, if any."""
        start, found = self.end, 0
        for position, (_, publisher_id) in enumerate(reversed(self._events), start=1):
            if found == count:
                break
            if publisher_id not in own:
                found += 1
                start = self.end - position
        if not found:
            return None
        return Replay(self, counters, own, start, self.end, found)

    def replay_after(self, offset: int, *, counters: TopicCounters, own: Own) -> "Replay | None":
        """Return all events after ``offset`` that the reader did not publish, if any.

        They must all be kept; see `start`.
        """
        found = sum(publisher_id not in own for _, publisher_id in self.between(offset, self.end))
        return Replay(self, counters, own, offset, self.end, found) if found else None

    def between(self, start: int, end: int) -> Iterator[tuple[Frame, str | None]]:
        """Return the events after offset ``start`` up to offset ``end``, if they are still kept."""
        return islice(self._events, max(0, start - self.start), max(0, end - self.start))


def _up_to(max_bytes: int, events: Iterable[tuple[Frame, str | None]]) -> list[Frame]:
    frames: list[Frame] = []
    for frame, _ in events:
        max_bytes -= frame.size
        if frames and max_bytes < 0:
            break
        frames.append(frame)
    return frames


class Replay:
    """The past events that one client has yet to receive, oldest first.

    It is a cursor into the history, and events are looked up when the client's socket has room for
    them. So a slow consumer takes no memory here, but events that the history evicts in the
    meantime are lost to it, and counted in ``counters``.
    """

    __slots__ = ("_end", "_history", "_next", "_own", "_remaining", "counters")

    size = 0
    """Bytes that it counts for in an outbox."""

    def __init__(
        self,
        history: History,
        counters: TopicCounters,
        own: Own,
        start: int,
        end: int,
        remaining: int,
    ) -> None:
        self._history = history
        self.counters = counters
        self._own = own
        self._next = start
        self._end = end
        self._remaining = remaining

    @property
    def remaining(self) -> int:
        """The number of events that the client has yet to receive."""
        return self._remaining

    @property
    def after(self) -> int:
        """The offset after which the rest begins."""
        return self._next

    def skip_lost(self) -> int:
        """Skip the events that the history no longer keeps; return their number."""
        start = self._history.start
        if start <= self._next:
            return 0
        self._next = min(start, self._end)
        kept = sum(1 for _ in self._wanted())
        lost, self._remaining = self._remaining - kept, kept
        return lost

    def take(self, max_bytes: int) -> list[Frame]:
        """Take the next events, up to ``max_bytes`` bytes, but at least one if any remain."""
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
            if publisher_id not in self._own:
                yield position, frame
