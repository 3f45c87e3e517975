"""Time limits for clients that do not read, pings for silent ones, and comments in streams.

Each class has one timer for all transports of an event loop, which runs only while it watches any.
Transports are looked at in slices of `TICK_SLICE`, between which the event loop serves clients: ten
thousand silent clients are not pinged at once.
"""

import asyncio
from abc import ABC, abstractmethod
from itertools import islice
from typing import Generic, Protocol, TypeVar

from pubsub.fairness import TICK_SLICE

LOOKS = 8
"""Looks at a transport within one time limit, which determines how exact the limit is."""


COMMENT_INTERVAL = 15.0
"""Seconds between two comments in a stream, as the standard recommends (WHATWG HTML §9.2.7)."""


class Blocked(Protocol):
    """A transport with bytes that its peer has not read."""

    @property
    def unread(self) -> int:
        """A number that decreases when the peer reads some of these bytes, and only then.

        It may increase when more is written.
        """

    @property
    def patience(self) -> float:
        """Seconds that the peer may go without progress."""

    @property
    def blocked(self) -> bool:
        """Whether the transport is still waiting for its peer."""

    def expire(self) -> None:
        """End the connection: the peer has read nothing in all this time."""


class WriteTimeouts:
    """Ends connections whose peers do not read what is waiting for them.

    Reading is judged by what the peer's kernel acknowledges: any progress since the last look,
    however small, restarts the time limit.

    Args:
        timeout: The shortest time limit in use, in seconds.
    """

    __slots__ = ("_interval", "_timer", "_watched")

    def __init__(self, timeout: float) -> None:
        self._interval = min(1.0, timeout / LOOKS)
        self._watched: dict[Blocked, tuple[int, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, transport: Blocked) -> None:
        """Watch a transport while it is blocked. Safe to call again."""
        if transport not in self._watched:
            loop = asyncio.get_running_loop()
            self._watched[transport] = (transport.unread, loop.time())
            if self._timer is None:
                self._timer = loop.call_later(self._interval, self._look_at_all)

    def forget(self, transport: Blocked) -> None:
        """Stop watching a transport."""
        self._watched.pop(transport, None)

    def _look_at_all(self) -> None:
        self._look_at(list(self._watched))

    def _look_at(self, transports: list[Blocked]) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        rest = iter(transports)
        try:
            for transport in islice(rest, TICK_SLICE):
                if transport in self._watched:
                    self._look(transport, now)
        finally:  # the timer goes on even if a transport raises
            if left := list(rest):
                self._timer = loop.call_later(0, self._look_at, left)
            elif self._watched:
                self._timer = loop.call_later(self._interval, self._look_at_all)
            else:
                self._timer = None

    def _look(self, transport: Blocked, now: float) -> None:
        before, since = self._watched[transport]
        if not transport.blocked:
            self.forget(transport)
        elif (unread := transport.unread) < before:
            self._watched[transport] = (unread, now)
        elif now - since >= transport.patience:
            self.forget(transport)
            transport.expire()
        else:
            self._watched[transport] = (unread, since)


class Pingable(Protocol):
    """A transport that can ping its peer."""

    heard: bool
    """Set whenever the peer sends anything; reset by `Pings`."""

    silent_looks: int
    """Looks since the peer was last heard."""

    @property
    def listening(self) -> bool:
        """Whether the transport reads from the peer and can write to it."""

    def ping(self) -> None:
        """Send a ping (RFC 6455 §5.5.2)."""

    def expire_silently(self) -> None:
        """End the connection: the peer has sent nothing since a ping."""


T = TypeVar("T")


class Rounds(ABC, Generic[T]):
    """Looks at every watched transport once in each interval, in slices.

    Args:
        interval: Seconds between two looks at the same transport.
    """

    __slots__ = ("_interval", "_timer", "_transports")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._transports: set[T] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, transport: T) -> None:
        """Watch a transport until `forget` is called for it."""
        self._transports.add(transport)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._interval, self._look_at_all)

    def forget(self, transport: T) -> None:
        """Stop watching a transport."""
        self._transports.discard(transport)

    def _look_at_all(self) -> None:
        self._look_at(list(self._transports))

    def _look_at(self, transports: list[T]) -> None:
        loop = asyncio.get_running_loop()
        rest = iter(transports)
        try:
            for transport in islice(rest, TICK_SLICE):
                if transport in self._transports:
                    self._look(transport)
        finally:  # the timer goes on even if a transport raises
            if left := list(rest):
                self._timer = loop.call_later(0, self._look_at, left)
            elif self._transports:
                self._timer = loop.call_later(self._interval, self._look_at_all)
            else:
                self._timer = None

    @abstractmethod
    def _look(self, transport: T) -> None:
        """Look at one transport."""


class Pings(Rounds[Pingable]):
    """Pings peers that are silent for ``interval`` seconds, and ends connections that stay silent.

    Anything that a peer sends is a sign of life. A peer does not count as silent while the server
    does not read from it, because it has to wait, or cannot write to it, because it does not read:
    that is up to `WriteTimeouts`.
    """

    __slots__ = ()

    def __init__(self, interval: float) -> None:
        super().__init__(interval / LOOKS)

    def _look(self, transport: Pingable) -> None:
        if transport.heard:
            transport.heard = False
            transport.silent_looks = 0
            return
        transport.silent_looks += 1
        if transport.silent_looks >= LOOKS:
            _ask(transport)


def _ask(transport: Pingable) -> None:
    if not transport.listening:
        transport.silent_looks = 0
    elif transport.silent_looks == LOOKS:
        transport.ping()
    elif transport.silent_looks >= 2 * LOOKS:
        transport.expire_silently()


class Commenting(Protocol):
    """A transport whose peer expects to hear something from time to time."""

    def comment(self) -> None:
        """Write a comment."""


class Comments(Rounds[Commenting]):
    """Writes a comment to every stream once in an interval.

    So proxies do not take a stream without events for a dead connection, and the server notices
    when the peer of one is gone.
    """

    __slots__ = ()

    def _look(self, transport: Commenting) -> None:
        transport.comment()


class Timeouts:
    """The timers of one event loop.

    Args:
        write_timeout, ping_interval: The values of the configuration, in seconds.
        comment_interval: Seconds between two comments in a stream of server-sent events.
    """

    __slots__ = ("comments", "pings", "write_timeout", "writes")

    def __init__(
        self,
        *,
        write_timeout: float,
        ping_interval: float,
        comment_interval: float = COMMENT_INTERVAL,
    ) -> None:
        self.comments = Comments(comment_interval)
        self.write_timeout = write_timeout
        self.writes = WriteTimeouts(write_timeout)
        self.pings = Pings(ping_interval)
