"""The limits of what one client may send: messages, and malformed messages."""

from collections import deque

PATIENCE = 10.0
"""Seconds' worth of rejected messages after which a client is disconnected."""

MALFORMED_SECONDS = 60.0
"""Seconds within which malformed messages are counted."""


class RateLimit:
    """A token bucket: ``rate`` messages a second, and ``burst`` at once.

    Rejected messages fill a second bucket, which leaks at the same rate. A client that ignores the
    errors and keeps sending three times as much as it may fills it in `PATIENCE` seconds.

    Args:
        rate: Messages a second.
        burst: Messages at once; 0 for as many as in a second.
        now: The time of a monotonic clock in seconds.
    """

    __slots__ = ("_capacity", "_last", "_patience", "_rate", "_refused", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._capacity = max(1.0, burst or rate)
        self._patience = PATIENCE * max(1.0, rate)
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
        return self._refused > self._patience


class MalformedLimit:
    """Counts malformed messages: ``limit`` of them within `MALFORMED_SECONDS` are too many.

    It is exact at any time, so it keeps the times of as many.
    """

    __slots__ = ("_limit", "_times")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._times: deque[float] = deque(maxlen=limit)

    def exceeds(self, now: float) -> bool:
        """Count one; return whether it is one too many at ``now``, in seconds."""
        times = self._times
        times.append(now)
        return len(times) == self._limit and now - times[0] < MALFORMED_SECONDS
