"""One loop for sockets that connect, are lost and connect again, and for timers."""

import heapq
import select
import socket
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

LONGEST_TURN = 0.05
"""Seconds after which a turn ends even if nothing happens."""


class Endpoint(Protocol):
    """The owner of a socket."""

    def connected(self) -> None:
        """Handle a connection that has been established, or has just failed: writing tells."""

    def readable(self) -> None:
        """Receive what has arrived."""

    def lost(self) -> None:
        """Handle the end of the connection: it failed, was refused or was closed."""


class Loop:
    """Sockets of one server, and timers.

    An endpoint that raises `OSError` has lost its connection.

    Args:
        port: Where the server listens, on the loopback interface.
    """

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._poll = select.epoll()
        self._endpoints: dict[int, Endpoint] = {}
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Call an action once, so many seconds from now."""
        self.at(time.perf_counter() + seconds, action)

    def at(self, when: float, action: Callable[[], object]) -> None:
        """Call an action once, at this time of `time.perf_counter`."""
        heapq.heappush(self._timers, (when, next(self._numbers), action))

    def connect(self, endpoint: Endpoint) -> socket.socket:
        """Begin to connect; the endpoint is called when the outcome is known."""
        sock = socket.socket()
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(self._address)
        self._endpoints[sock.fileno()] = endpoint
        self._poll.register(sock, select.EPOLLOUT)
        return sock

    def close(self, sock: socket.socket) -> None:
        """Close a socket; its endpoint is not called any more."""
        self._poll.unregister(sock)
        del self._endpoints[sock.fileno()]
        sock.close()

    def turn(self) -> None:
        """Run the timers that are due, then serve the sockets until the next one is."""
        while self._timers and self._timers[0][0] <= time.perf_counter():
            heapq.heappop(self._timers)[2]()
        wait = LONGEST_TURN
        if self._timers:
            wait = min(wait, max(0.0, self._timers[0][0] - time.perf_counter()))
        for fd, event in self._poll.poll(wait):
            endpoint = self._endpoints[fd]
            try:
                if event & select.EPOLLOUT:
                    self._poll.modify(fd, select.EPOLLIN)
                    endpoint.connected()
                else:
                    endpoint.readable()
            except OSError:
                endpoint.lost()
