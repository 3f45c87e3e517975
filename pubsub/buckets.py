"""Rate limits for many askers, in bounded memory."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_BUCKETS = 10_000
"""Askers that are remembered. One that is forgotten may send a burst again."""


class Buckets:
    """A token bucket for each asker: ``rate`` requests a second, and as many at once.

    The askers that were seen last are remembered, `MAX_BUCKETS` of them at most, and none for
    longer than it takes to fill its bucket while others ask.

    Args:
        rate: Requests a second; at least one may always come at once.
        clock: Returns the seconds of a monotonic clock.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self.refused = 0
        """Requests that were refused."""

    def wait(self, asker: str) -> int:
        """Return 0 and count the request, or the seconds after which it may come again."""
        now = self._clock()
        self._forget_full(now)
        tokens, then = self._buckets.get(asker, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - then) * self._rate)
        missing = 1 - tokens
        if missing <= 0:
            tokens -= 1
        else:
            self.refused += 1
        self._buckets[asker] = (tokens, now)
        self._buckets.move_to_end(asker)
        return max(1, math.ceil(missing / self._rate)) if missing > 0 else 0

    def _forget_full(self, now: float) -> None:
        """Forget up to two buckets that are full again; one may be added, so they never pile up."""
        for _ in range(2):
            if not self._buckets:
                return
            tokens, then = next(iter(self._buckets.values()))
            is_full = tokens + (now - then) * self._rate >= self._capacity
            if not is_full and len(self._buckets) < MAX_BUCKETS:
                return
            self._buckets.popitem(last=False)

    def __len__(self) -> int:
        return len(self._buckets)

    def __repr__(self) -> str:
        return f"<Buckets {len(self)} askers, {self.refused} refused>"
