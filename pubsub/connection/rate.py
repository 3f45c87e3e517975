"""The rate limit of one client."""

PATIENCE = 10.0
"""Seconds' worth of rejected messages after which a client is disconnected."""


class RateLimit:
    """A token bucket: ``rate`` messages a second, and a burst of as many.

    Rejected messages fill a second bucket, which leaks at the same rate. A client that ignores the
    errors and keeps sending three times as much as it may fills it in `PATIENCE` seconds.
    """

    __slots__ = ("_capacity", "_last", "_rate", "_refused", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate)
        self._tokens = self._capacity
        self._refused = 0.0
        self._last = now

    def admit(self, now: float) -> bool:
        """Return whether a message may pass at ``now``, in seconds of a monotonic clock."""
        gained = (now - self._last) * self._rate
        self._last = now
        self._tokens = min(self._capacity, self._tokens + gained)
        self._refused = max(0.0, self._refused - gained)
        if self._tokens >= 1:
            self._tokens -= 1
            return True
        self._refused += 1
        return False

    @property
    def exhausted(self) -> bool:
        """Whether the client has kept sending although its messages were rejected."""
        return self._refused > PATIENCE * self._capacity
