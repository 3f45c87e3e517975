"""The rate limit of one client."""

PATIENCE = 10.0
"""Seconds' worth of refused messages after which a client is not listened to any longer."""


class RateLimit:
    """A token bucket of one second: ``rate`` messages a second, and as many at once.

    Refused messages are counted in a second bucket, which leaks at the same rate. A client that
    has filled it has not heeded what it was told, for `PATIENCE` seconds or at a multiple of the
    rate for a shorter time.
    """

    __slots__ = ("_capacity", "_last", "_rate", "_refused", "_tokens")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._capacity = max(1.0, rate)
        self._tokens = self._capacity
        self._refused = 0.0
        self._last = now

    def admit(self, now: float) -> bool:
        """Tell whether a message that comes at ``now`` (seconds of a monotonic clock) may pass."""
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
        """Whether the client goes on and on sending what is refused."""
        return self._refused > PATIENCE * self._capacity
