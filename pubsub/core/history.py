"""The last messages of one topic, for subscribers that ask for a replay."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from pubsub.core.frame import Frame

if TYPE_CHECKING:
    from pubsub.core.topic import Topic


class History:
    """A ring buffer of the newest ``capacity`` events of one topic.

    Each event is kept with the id of the client that published it, never with the client
    itself: a client that has left must not live on in here.
    """

    __slots__ = ("_end", "_events")

    def __init__(self, capacity: int) -> None:
        self._events: deque[tuple[Frame, str | None]] = deque(maxlen=capacity)
        self._end = 0

    @property
    def capacity(self) -> int:
        """The number of events that are kept."""
        return self._events.maxlen or 0

    @property
    def start(self) -> int:
        """The number of events that were kept once and no longer are."""
        return self._end - len(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def append(self, frame: Frame, publisher_id: str | None) -> None:
        """Keep this event; the oldest one gives way when the buffer is full."""
        self._events.append((frame, publisher_id))
        self._end += 1

    def clear(self) -> None:
        """Keep nothing of what is kept."""
        self._events.clear()

    def replay(self, count: int, *, topic: "Topic", reader_id: str) -> "Replay | None":
        """Return the newest ``count`` events that ``reader_id`` did not publish, if any."""
        start, found = self._end, 0
        for position, (_, publisher_id) in enumerate(reversed(self._events), start=1):
            if found == count:
                break
            if publisher_id != reader_id:
                found += 1
                start = self._end - position
        if not found:
            return None
        return Replay(self, topic, reader_id, start, self._end, found)

    def between(self, start: int, end: int) -> Iterator[tuple[Frame, str | None]]:
        """Return the events from the ``start``-th to before the ``end``-th that ever were kept."""
        return islice(self._events, max(0, start - self.start), max(0, end - self.start))


class Replay:
    """The past events that one client is still to get, oldest first.

    It holds none of them: they are looked up in the history when there is room for them in the
    client's socket. A client that does not read so costs nothing, and when the history moves on
    meanwhile it has lost what the history has lost.
    """

    __slots__ = ("_end", "_history", "_next", "_reader_id", "_remaining", "topic")

    def __init__(
        self,
        history: History,
        topic: "Topic",
        reader_id: str,
        start: int,
        end: int,
        remaining: int,
    ) -> None:
        self._history = history
        self.topic = topic
        self._reader_id = reader_id
        self._next = start
        self._end = end
        self._remaining = remaining

    @property
    def remaining(self) -> int:
        """The number of events that the client is still to get."""
        return self._remaining

    def skip_lost(self) -> int:
        """Pass over the events that the history no longer keeps; return how many those are."""
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
