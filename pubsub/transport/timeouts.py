"""Clients that do not read, and clients that say nothing.

Each class has one timer for all transports of an event loop; it runs only while there are any.
"""

import asyncio
from typing import Protocol

LOOKS = 8
"""How often a transport is looked at within its time limit, so how exact the limit is."""


class Blocked(Protocol):
    """A transport with bytes that its peer has not taken."""

    @property
    def unread(self) -> int:
        """A number that shrinks whenever the peer takes some of what waits for it."""

    @property
    def patience(self) -> float:
        """Seconds without progress that the peer is granted."""

    @property
    def blocked(self) -> bool:
        """Whether there is still a reason to watch it."""

    def expire(self) -> None:
        """End the connection: the peer took nothing in all this time."""


class WriteTimeouts:
    """Ends connections whose peers take nothing of what waits for them.

    Taking means what the kernel knows of it: a peer that reads anything at all makes progress,
    however little it is, as soon as its own kernel says so.

    Args:
        timeout: The shortest time limit in use, in seconds.
    """

    __slots__ = ("_interval", "_timer", "_watched")

    def __init__(self, timeout: float) -> None:
        self._interval = min(1.0, timeout / LOOKS)
        self._watched: dict[Blocked, tuple[int, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, transport: Blocked) -> None:
        """Watch a transport for as long as it is blocked; calling this again changes nothing."""
        if transport not in self._watched:
            loop = asyncio.get_running_loop()
            self._watched[transport] = (transport.unread, loop.time())
            if self._timer is None:
                self._timer = loop.call_later(self._interval, self._look)

    def forget(self, transport: Blocked) -> None:
        """Stop watching a transport."""
        self._watched.pop(transport, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for transport, (before, since) in list(self._watched.items()):
            if not transport.blocked:
                self.forget(transport)
            elif (unread := transport.unread) < before:
                self._watched[transport] = (unread, now)
            elif now - since >= transport.patience:
                self.forget(transport)
                transport.expire()
        self._timer = loop.call_later(self._interval, self._look) if self._watched else None


class Pingable(Protocol):
    """A transport that can ping its peer."""

    heard: bool
    """Set with everything that the peer sends; reset here."""

    silent_looks: int
    """Looks since the peer was last heard."""

    @property
    def listening(self) -> bool:
        """Whether the peer is being read from and could be written to."""

    def ping(self) -> None:
        """Send a ping (RFC 6455 §5.5.2)."""

    def expire_silently(self) -> None:
        """End the connection: there was no sign of life after a ping."""


class Pings:
    """Pings the peers that say nothing for ``interval`` seconds, and ends those that stay silent.

    Anything that a peer sends is a sign of life. A peer that is not being read from, because it
    has to wait, or that cannot be written to, because it does not read, is not counted as silent:
    the latter is the matter of `WriteTimeouts`.
    """

    __slots__ = ("_interval", "_timer", "_transports")

    def __init__(self, interval: float) -> None:
        self._interval = interval / LOOKS
        self._transports: set[Pingable] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, transport: Pingable) -> None:
        """Watch a transport until it is forgotten."""
        self._transports.add(transport)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def forget(self, transport: Pingable) -> None:
        """Stop watching a transport."""
        self._transports.discard(transport)

    def _look(self) -> None:
        silent: list[Pingable] = []
        for transport in self._transports:
            if transport.heard:
                transport.heard = False
                transport.silent_looks = 0
            else:
                transport.silent_looks += 1
                if transport.silent_looks >= LOOKS:
                    silent.append(transport)
        for transport in silent:
            _ask(transport)
        self._timer = (
            asyncio.get_running_loop().call_later(self._interval, self._look)
            if self._transports
            else None
        )


def _ask(transport: Pingable) -> None:
    if not transport.listening:
        transport.silent_looks = 0
    elif transport.silent_looks == LOOKS:
        transport.ping()
    elif transport.silent_looks >= 2 * LOOKS:
        transport.expire_silently()


class Timeouts:
    """The timers of one event loop.

    Args:
        write_timeout, ping_interval: As configured, in seconds.
    """

    __slots__ = ("pings", "write_timeout", "writes")

    def __init__(self, *, write_timeout: float, ping_interval: float) -> None:
        self.write_timeout = write_timeout
        self.writes = WriteTimeouts(write_timeout)
        self.pings = Pings(ping_interval)
