"""The time that messages in flight have before they count as lost."""

from collections.abc import Callable
from typing import NamedTuple

from pubsub.cluster.channels.streams import Stream
from pubsub.core.timer import CallLater, Timer

GRACE = 1.0
"""Seconds in which a stream must move on, or what it awaits counts as lost."""

LATE = 0.5
"""Seconds by which a timer may be late. If it is later, the event loop was stopped, and messages
that arrived meanwhile come first: there is another `GRACE`, once."""


class _Watched(NamedTuple):
    due: float
    settled: int
    """Where the stream stood when `GRACE` began."""
    is_late: bool = False


class Watch:
    """Watches streams that await publications, and finds those in which nothing arrives.

    While something arrives in a stream, a loss shows as a gap.

    Args:
        lose: Called with a stream that awaits something, and has not moved on for `GRACE`.
        clock: Returns the time in seconds.
        call_later: Sets the timer.
    """

    def __init__(
        self,
        lose: Callable[[Stream], None],
        *,
        clock: Callable[[], float],
        call_later: CallLater,
    ) -> None:
        self._lose = lose
        self._clock = clock
        self._call_later = call_later
        self._watched: dict[Stream, _Watched] = {}
        self._timer: Timer | None = None

    def add(self, stream: Stream) -> None:
        """Watch a stream, unless it is watched already."""
        if stream not in self._watched:
            self._watched[stream] = _Watched(self._clock() + GRACE, stream.settled)
            if self._timer is None:
                self._timer = self._call_later(GRACE, self._look)

    def discard(self, stream: Stream) -> None:
        """Watch a stream no longer."""
        self._watched.pop(stream, None)
        if not self._watched and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._clock()
        for stream, (due, settled, is_late) in list(self._watched.items()):
            if stream.gap is not None or stream.awaited <= stream.settled:
                del self._watched[stream]
            elif now < due:
                continue
            elif settled != stream.settled:
                self._watched[stream] = _Watched(now + GRACE, stream.settled)
            elif now > due + LATE and not is_late:
                self._watched[stream] = _Watched(now + GRACE, settled, is_late=True)
            else:
                del self._watched[stream]
                self._lose(stream)
        if self._watched:
            first = min(watched.due for watched in self._watched.values())
            self._timer = self._call_later(max(0.0, first - now), self._look)

    def __repr__(self) -> str:
        return f"<Watch of {len(self._watched)} streams>"
