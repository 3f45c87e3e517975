"""The watch over clients that do not read what waits for them."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Stalled(Protocol):
    """A connection whose socket was full when it was last written to."""

    @property
    def waiting(self) -> bool:
        """Whether anything waits for the socket still."""

    @property
    def progress(self) -> int:
        """A number that grows whenever the socket takes some of it."""


class WriteTimeouts:
    """Calls ``expired`` for each watched connection that makes no progress for ``timeout`` seconds.

    Only connections whose socket was full are watched, by one timer together, which runs as long
    as there are any. "Read" means what the server can see of it: the kernel's buffers lie between
    the two ends, so a client that reads just a little at a time shows up in steps.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._interval = min(1.0, timeout / 8)
        self._watched: dict[Stalled, tuple[int, float, Callable[[], None]]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, connection: Stalled, expired: Callable[[], None]) -> None:
        """Watch a connection until nothing waits for it; to call this again changes nothing."""
        if connection not in self._watched:
            now = asyncio.get_running_loop().time()
            self._watched[connection] = (connection.progress, now, expired)
            if self._timer is None:
                self._schedule()

    def forget(self, connection: Stalled) -> None:
        """Watch a connection no longer, if it was watched."""
        self._watched.pop(connection, None)

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._look)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer = None
        for connection, (progress, since, expired) in list(self._watched.items()):
            if not connection.waiting:
                del self._watched[connection]
            elif connection.progress > progress:
                self._watched[connection] = (connection.progress, now, expired)
            elif now - since >= self._timeout:
                del self._watched[connection]
                expired()
        if self._watched:
            self._schedule()
