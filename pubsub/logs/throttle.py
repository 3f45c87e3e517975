"""Keeps a flood of events from becoming a flood of lines, and loses none of the count."""

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

RATE = 10
"""Events of one kind that are logged in a second."""

WINDOW = 1.0
"""The second, which begins at any time."""


Kind = TypeVar("Kind", bound=Hashable)


class Throttle(Generic[Kind]):
    """Admits `RATE` events of each kind in any `WINDOW` seconds, and counts those left out.

    The number of kinds must be bounded: no client may choose one.

    Args:
        clock: Returns the seconds of a monotonic clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._admitted: dict[Kind, deque[float]] = {}
        self._suppressed: dict[Kind, int] = {}

    def admit(self, kind: Kind) -> int | None:
        """Return how many were left out before this event, or ``None`` to leave it out, too."""
        now = self._clock()
        times = self._admitted.get(kind)
        if times is None:
            times = self._admitted[kind] = deque(maxlen=RATE)
        if _is_full(times, now):
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        times.append(now)
        return self._suppressed.pop(kind, 0)

    def take_suppressed(self, *, all_kinds: bool = False) -> Iterator[tuple[Kind, int]]:
        """Yield the kinds with events that were left out, and their number, which is reset.

        Args:
            all_kinds: Also those of which the next event would still be left out.
        """
        now = self._clock()
        for kind in list(self._suppressed):
            if all_kinds or not _is_full(self._admitted[kind], now):
                yield kind, self._suppressed.pop(kind)

    @property
    def has_suppressed(self) -> bool:
        """Whether any count has not been reported yet."""
        return bool(self._suppressed)


def _is_full(times: deque[float], now: float) -> bool:
    return len(times) == RATE and now - times[0] < WINDOW
