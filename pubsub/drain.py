"""How connections end when the server stops: all at once, or spread over a number of seconds."""

import asyncio
import random
import time
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from pubsub import logs
from pubsub.core.outbox import Outbox
from pubsub.protocol.replies import encode_shutdown
from pubsub.transport.base import Transport

STEP = 0.05
"""Seconds between two groups of clients that are sent away."""

FLUSH_TIMEOUT = 1.0
"""Seconds after the drain in which slow readers can still take what is in their outboxes."""

CLOSE_TIMEOUT = 3.0
"""Seconds for the closing handshakes of all clients when the server stops."""

CANCEL_TIMEOUT = 1.0
"""Seconds for the applications to end after they were cancelled."""

MIN_DELAY = 500
"""Milliseconds that every client waits before it reconnects, so that a proxy can notice."""

RECONNECTIONS = 500
"""Clients that should reconnect per second; a server completes several times as many handshakes."""

MIN_INTERVAL, MAX_INTERVAL = 1_000, 60_000
"""Milliseconds within which all clients reconnect, for few and for very many clients."""


class Connection(Protocol):
    """A client's connection, as the drain sees it."""

    transport: Transport
    outbox: Outbox

    def on_writable(self) -> None:
        """Write what the socket takes of the outbox."""

    def stop(self) -> None:
        """Flush the outbox, and close because the server is stopping."""


def reconnect_interval(clients: int) -> int:
    """Return the milliseconds over which the reconnections of so many clients are spread."""
    return min(max(MIN_INTERVAL, clients * 1000 // RECONNECTIONS), MAX_INTERVAL)


class Drain:
    """Sends all clients away when the server stops.

    With a duration above 0, `spread` disconnects them one after the other while the server still
    works. Each gets ``info`` with the time to reconnect, what else is in its outbox, and close code
    3001. Then, or right away, `finish` disconnects the rest at once.

    Args:
        connections: All connections with their tasks; whoever owns them keeps this up to date.
        seconds: Over how long `spread` disconnects them.
    """

    def __init__(
        self, connections: Mapping[Connection, asyncio.Task[Any] | None], seconds: float
    ) -> None:
        self.active = False
        """Whether the server is stopping, and new clients should go elsewhere."""
        self._connections = connections
        self._seconds = seconds
        self._spreading = False
        self._interval = MIN_INTERVAL
        self._slow: list[Connection] = []
        self._clients: int | None = None
        self._started = 0.0

    def __repr__(self) -> str:
        state = "active" if self.active else "idle"
        return f"<Drain over {self._seconds:g} s, {state}>"

    def spread(self) -> Awaitable[None]:
        """Begin the drain; the result disconnects the clients over its duration.

        It is done early once there is no client left, and at the latest `FLUSH_TIMEOUT` after the
        duration, whatever clients do.
        """
        self._begin()
        self._spreading = self._seconds > 0
        self._interval = reconnect_interval(len(self._connections))
        return self._spread()

    def _begin(self) -> None:
        self.active = True
        if self._clients is None:
            self._clients = len(self._connections)
            self._started = time.monotonic()

    async def _spread(self) -> None:
        loop = asyncio.get_running_loop()
        connections = list(self._connections) if self._spreading else []
        start, sent = loop.time(), 0
        while self._connections and sent < len(connections):
            await asyncio.sleep(min(STEP, self._seconds))
            elapsed = loop.time() - start
            due = min(int(len(connections) * elapsed / self._seconds), len(connections))
            for connection in connections[sent:due]:
                self.send_away(connection)
            sent = due
            self._stop_flushed()
        end = loop.time() + FLUSH_TIMEOUT
        while self._slow and loop.time() < end:
            await asyncio.sleep(STEP)
            self._stop_flushed()

    def _stop_flushed(self) -> None:
        self._slow = [each for each in self._slow if not _stop_if_flushed(each)]

    def send_away(self, connection: Connection) -> None:
        """Disconnect one client, once its outbox is empty; without notice if all go at once."""
        if not self._spreading:
            connection.stop()
            return
        self._notify(connection)
        if not _stop_if_flushed(connection):
            self._slow.append(connection)

    def _notify(self, connection: Connection) -> None:
        delay = MIN_DELAY + random.randrange(self._interval)  # noqa: S311  # it is no secret
        connection.outbox.put_reply(encode_shutdown(delay))

    def stop_all(self) -> None:
        """Disconnect all clients now, with what their sockets take of their outboxes."""
        self._begin()
        is_spreading, self._spreading = self._spreading, False
        notified, self._slow = set(self._slow), []
        for connection in list(self._connections):
            if is_spreading and connection not in notified:
                self._notify(connection)
            connection.stop()

    def finish(self) -> Awaitable[None]:
        """Disconnect all clients now; the result waits for their closing handshakes.

        It waits for at most `CLOSE_TIMEOUT` and `CANCEL_TIMEOUT`.
        """
        connections = dict(self._connections)
        self.stop_all()
        return self._finish(connections)

    async def _finish(self, connections: Mapping[Connection, asyncio.Task[Any] | None]) -> None:
        await _wait_until_gone(connections)
        seconds = time.monotonic() - self._started
        logs.server_drained(clients=self._clients or 0, seconds=seconds)


def _stop_if_flushed(connection: Connection) -> bool:
    connection.on_writable()
    if not connection.outbox.empty():
        return False
    connection.stop()
    return True


async def _wait_until_gone(connections: Mapping[Connection, asyncio.Task[Any] | None]) -> None:
    closing = [asyncio.ensure_future(each.transport.wait_closed()) for each in connections]
    tasks = [task for task in connections.values() if task is not None]
    if closing:
        _, late = await asyncio.wait(closing, timeout=CLOSE_TIMEOUT)
        for waiting in late:
            waiting.cancel()
    # Daphne cancels the applications too. Where its stop is not bounded (see `foreign.HTTP`),
    # it gives up at the first connection that has none.
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT)
