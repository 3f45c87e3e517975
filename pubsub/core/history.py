"""The last messages of one topic, for subscribers that ask for a replay."""

from collections import deque

from pubsub.core.frame import Frame


class History:
    """A ring buffer of the newest ``capacity`` events of one topic.

    Each event is kept with the id of the client that published it, never with the client
    itself: a client that has left must not live on in here.
    """

    __slots__ = ("_events",)

    def __init__(self, capacity: int) -> None:
        self._events: deque[tuple[Frame, str | None]] = deque(maxlen=capacity)

    @property
    def capacity(self) -> int:
        """The number of events that are kept."""
        return self._events.maxlen or 0

    def __len__(self) -> int:
        return len(self._events)

    def append(self, frame: Frame, publisher_id: str | None) -> None:
        """Keep this event; the oldest one gives way when the buffer is full."""
        self._events.append((frame, publisher_id))

    def last(self, count: int, *, reader_id: str) -> list[Frame]:
        """Return the newest ``count`` events that ``reader_id`` did not publish, oldest first."""
        frames: list[Frame] = []
        for frame, publisher_id in reversed(self._events):
            if len(frames) >= count:
                break
            if publisher_id != reader_id:
                frames.append(frame)
        frames.reverse()
        return frames
