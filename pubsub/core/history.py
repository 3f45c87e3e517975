"""The last messages of each topic, and the bound that all histories share."""

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from time import monotonic
from typing import Any

from pubsub.core.counters import TopicCounters
from pubsub.core.publication import Frame

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


class KeptFrame(Frame):
    """An event of a topic that keeps history: it knows its place there.

    Args:
        payload: The encoded event.
        counters: The counters of the topic.
        history: The history of the topic, to which it is appended next.
        offset: The offset of the message, which is above all before; by default the next one.
    """

    __slots__ = ("history", "number", "offset")

    def __init__(
        self, payload: bytes, counters: TopicCounters, history: "History", offset: int | None = None
    ) -> None:
        super().__init__(payload, counters)
        self.history = history
        self.number: int = history.end + 1
        """Its place among the events of the history, which grows by one with each of them."""
        self.offset: int = history.offset + 1 if offset is None else offset


Entry = tuple[KeptFrame, str | None]
"""A kept event, and the name of its publisher."""


def _offset_of(entry: Entry) -> int:
    return entry[0].offset


class History:
    """The newest ``capacity`` events of one topic.

    Each event is kept with the name of its publisher, not with the `Client`, so that the history
    does not keep a disconnected client in memory. That is the id of the client, whose user was
    checked, or among several processes a `shared_name`.

    An event has a number here, which grows by one with each event and by which it is found in
    constant time, and the offset that clients know. In one process the two are equal. Offsets that
    several processes share have holes.

    Args:
        capacity: The largest number of events that are kept.
        budget: The bound in bytes that it shares.
        max_age: Seconds that an event is kept; 0 for no limit. Old events disappear with `expire`.
    """

    # A list that is cut off at its front is faster in the middle than a deque, and its memory
    # follows the number of events, which for a ring buffer is always that of the capacity.
    __slots__ = (
        *("_born", "_budget", "_events", "_evicted", "capacity", "end", "gone", "max_age"),
        *("offset", "size"),
    )

    def __init__(self, capacity: int, budget: HistoryBudget, max_age: float = 0.0) -> None:
        self.capacity = capacity
        """The largest number of events that are kept."""
        self.max_age = max_age
        """Seconds that an event is kept; 0 for no limit."""
        self._born: deque[float] | None = deque() if max_age else None
        self._events: list[Any] = []  # entries, and None where one was evicted
        self._evicted = 0  # of those at the front of the list
        self._budget = budget
        budget.add(self)
        self.end = 0
        """Number of events ever kept, which is that of the newest one (the first has 1)."""
        self.offset = 0
        """The offset of the newest event; 0 if there was none yet."""
        self.gone = 0
        """All events after this offset are kept: that of the newest one that was evicted, or 0."""
        self.size = 0
        """Bytes that the kept events take."""

    @property
    def start(self) -> int:
        """Number of events that are no longer kept."""
        return self.end - len(self)

    def __len__(self) -> int:
        return len(self._events) - self._evicted

    def begin_after(self, offset: int) -> None:
        """Let the next event be the first one after ``offset``, whatever was kept before.

        Nothing is known of what lies before, so it counts as evicted.
        """
        while len(self):
            self.evict_oldest()
        self.gone = self.offset = offset

    def append(self, frame: KeptFrame, publisher: str | None, age: float = 0.0) -> None:
        """Keep an event; evict the oldest one if there are too many.

        Args:
            frame: The event.
            publisher: The name of its publisher.
            age: Seconds since the event was accepted.
        """
        events, budget = self._events, self._budget
        if self._born is not None:
            self.expire()
            self._born.append(budget.clock() - age)
        if len(events) - self._evicted == self.capacity:
            self.evict_oldest()
        events.append((frame, publisher))
        self.end += 1
        self.offset = frame.offset
        size = frame.size + OVERHEAD
        self.size += size
        budget.used += size
        if budget.used > budget.max_bytes:
            budget.evict()

    def evict_oldest(self) -> None:
        """Evict the oldest event."""
        if self._born is not None:
            self._born.popleft()
        events, evicted = self._events, self._evicted
        oldest = events[evicted][0]
        self.gone = oldest.offset
        size = oldest.size + OVERHEAD
        events[evicted] = None
        self._evicted = evicted = evicted + 1
        if evicted * 2 > len(events):
            del events[:evicted]
            self._evicted = 0
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

    def newest(self, limit: int, max_bytes: int) -> list[KeptFrame]:
        """Return the newest events, up to a number and a size but at least one, oldest first."""
        found = _up_to(max_bytes, islice(self.newest_first(), limit))
        return found[::-1]

    def oldest_after(self, offset: int, limit: int, max_bytes: int) -> list[KeptFrame]:
        """Return the oldest kept events after ``offset``, up to a number and a size."""
        number = self.number_at(offset)
        return _up_to(max_bytes, self.between(number, number + limit))

    def close(self) -> None:
        """Discard every event and release its bytes."""
        self._budget.remove(self)
        self._events.clear()
        self._evicted = 0
        self.gone = self.offset
        if self._born is not None:
            self._born.clear()
        self.size = 0

    def event(self, number: int) -> KeptFrame:
        """Return the event with this number, which must still be kept."""
        entry: Entry = self._events[number - self.end - 1]
        return entry[0]

    def number_at(self, offset: int) -> int:
        """Return the number of the newest event up to ``offset``, or that before the first kept."""
        events, evicted = self._events, self._evicted
        return self.start + bisect_right(events, offset, lo=evicted, key=_offset_of) - evicted

    def between(self, start: int, end: int) -> list[Entry]:
        """Return the events after number ``start`` up to number ``end``, if they are still kept."""
        first = self.end - len(self._events)  # the number before the first one in the list
        return self._events[max(start, self.start) - first : max(0, end - first)]

    def newest_first(self) -> Iterator[Entry]:
        """Return all events, the newest one first."""
        return islice(reversed(self._events), len(self))


def _up_to(max_bytes: int, events: Iterable[Entry]) -> list[KeptFrame]:
    frames: list[KeptFrame] = []
    for frame, _ in events:
        max_bytes -= frame.size
        if frames and max_bytes < 0:
            break
        frames.append(frame)
    return frames
