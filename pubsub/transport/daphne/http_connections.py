"""All HTTP connections of a process: how their time limits are kept, and how they end."""

import asyncio
import time
from typing import TYPE_CHECKING, Any, cast

from twisted.internet import reactor

from pubsub.transport.daphne.http import HttpLimits

if TYPE_CHECKING:
    from pubsub.transport.daphne.http_channel import Channel

CHECK_INTERVAL = 1.0
"""Seconds between two looks at the time limits, where no limit is shorter than 4 seconds."""

FINISH_TIMEOUT = 2.0
"""Seconds that requests have to finish when the server stops. Then they are told to end."""

END_TIMEOUT = 1.0
"""Seconds that they have to end. Then they are cancelled."""

FLUSH_TIMEOUT = 0.5
"""Seconds that clients have to read the rest of their responses."""


class HttpConnections:
    """The channels of a process that have not become WebSockets."""

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        self.stopping = False
        self._channels: set[Channel] = set()
        self._interval = min(CHECK_INTERVAL, limits.request_timeout / 4)
        self._all_closed = asyncio.Event()

    def add(self, channel: "Channel") -> None:
        """Watch a connection."""
        self._channels.add(channel)

    def discard(self, channel: "Channel") -> None:
        """Forget a connection that is closed, or is no longer HTTP/1.1. Safe to call twice."""
        self._channels.discard(channel)
        if self.stopping and not self._channels:
            self._all_closed.set()

    def watch(self) -> None:
        """Check the time limits of all connections, now and from time to time.

        One timer for all is cheaper than resetting one with each request and each read.
        """
        now = time.monotonic()
        for channel in list(self._channels):
            channel.check(now)
        cast(Any, reactor).callLater(self._interval, self.watch)

    def stop(self, server: Any) -> asyncio.Future[None]:
        """End all applications and HTTP connections of a server that stops.

        From now on no request is started. Those at work may finish, because Django's handler
        leaves tasks behind when it is cancelled; all other applications are cancelled at once,
        as Daphne does. Nothing happens in this tick, so that the WebSocket clients are told first.
        """
        self.stopping = True
        return asyncio.ensure_future(self._end(server))

    async def _end(self, server: Any) -> None:
        at_work = {request for channel in self._channels for request in channel.requests}
        requests, others = {}, []
        for protocol, details in server.connections.items():
            application = details.get("application_instance")
            if application is None or application.done():
                continue
            if protocol in at_work:
                requests[application] = protocol
            else:
                application.cancel()
                others.append(application)
        for channel in list(self._channels):
            channel.stop()
        await _wait([*requests], FINISH_TIMEOUT)
        for application, request in requests.items():
            if not application.done():
                request.send_disconnect()
        await _wait([*requests, *others], END_TIMEOUT)
        for application in requests:
            application.cancel()
        if self._channels:
            await _wait([asyncio.ensure_future(self._all_closed.wait())], FLUSH_TIMEOUT)


async def _wait(tasks: list[asyncio.Future[Any]], timeout: float) -> None:  # noqa: ASYNC109
    if tasks:
        await asyncio.wait(tasks, timeout=timeout)
