"""Durations, counted by size."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate


class Histogram:
    """How many durations were at most as long as each of some bounds.

    Args:
        bounds: The bounds in seconds, in ascending order. Longer durations are counted, too.
    """

    __slots__ = ("_counts", "bounds", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.total = 0.0
        """The sum of all durations, in seconds."""
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[int]:
        """Return the number of durations up to each bound, and then the number of all."""
        return list(accumulate(self._counts))

    def __repr__(self) -> str:
        return f"<Histogram of {sum(self._counts)} durations>"
