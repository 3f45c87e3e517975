"""All HTTP connections of a process: whose turn it is, their time limits, and their end."""

import asyncio
import time
from collections import deque
from typing import Any, Protocol, cast

from pubsub.transport.daphne.http_limits import HttpLimits

MAX_STARTING = 100
"""Applications that may be at work without having answered a request or a WebSocket's handshake.
The event loop serves all of them in turn, so a thousand at once would keep a WebSocket's message
waiting for a second. Thousands of clients that reconnect after a restart would all be served so
slowly that they give up and come again; one that has left before its turn costs nothing."""

STARTING_SECONDS = 1.0
"""Seconds after which an application that has not answered no longer counts: it waits for
something, and does not keep the event loop busy."""

CHECK_INTERVAL = 1.0
"""Seconds between two looks at the time limits, where no limit is shorter than 4 seconds."""

FINISH_TIMEOUT = 1.0
"""Seconds that requests have to finish when the server stops."""

END_TIMEOUT = 1.0
"""Seconds that applications have to end after they have been told to."""

FLUSH_TIMEOUT = 0.5
"""Seconds that clients have to read the rest of their responses."""


class Channel(Protocol):
    """One HTTP connection."""

    requests: list[Any]
    """Its requests that are not answered yet."""

    def check(self, now: float) -> None:
        """End what takes longer than it may; ``now`` is a time of the monotonic clock."""

    def stop(self) -> None:
        """Close as soon as the request at work is answered."""

    def is_closing(self) -> bool:
        """Tell whether all is written, but not all of it has left yet."""


class Request(Protocol):
    """One request."""

    channel: Any
    """Its connection; ``None`` once that is lost."""

    def is_upgrade(self) -> bool:
        """Return whether it is the handshake of a WebSocket."""

    def start(self) -> None:
        """Start its application."""

    def send_disconnect(self) -> None:
        """Tell its application to end."""


class HttpConnections:
    """The channels of a process that have not become WebSockets."""

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        self.stopping = False
        self._channels: set[Channel] = set()
        self._interval = min(CHECK_INTERVAL, limits.request_timeout / 4)
        self._all_closed = asyncio.Event()
        self._starting: dict[Any, float] = {}
        """When each was started: requests, and the WebSocket protocols that took one over."""
        self._waiting: tuple[deque[Request], deque[Request]] = (deque(), deque())
        """Requests, and handshakes."""
        self._last_started = 0
        self._is_starting = False

    def add(self, channel: Channel) -> None:
        """Watch a connection."""
        self._channels.add(channel)

    def discard(self, channel: Channel) -> None:
        """Forget a connection that is closed, or is a WebSocket now. Safe to call twice."""
        self._channels.discard(channel)
        if self.stopping and not self._channels:
            self._all_closed.set()

    # --- Turns ---

    def start(self, request: Request) -> None:
        """Start the application for a request, at once or when others have answered.

        Requests and handshakes take turns with each other, so that a server with thousands of
        clients at its door still answers its health checks, and the other way round.
        """
        self._waiting[request.is_upgrade()].append(request)
        self._start_waiting()

    def handed_over(self, request: Request, successor: Any) -> None:
        """Let a WebSocket protocol keep the turn of its handshake until that is answered."""
        if (since := self._starting.pop(request, None)) is not None:
            self._starting[successor] = since

    def answered(self, request: Any) -> None:
        """Note that a request or handshake is answered, at least in part, or lost.

        Safe to call again.
        """
        if self._starting.pop(request, None) is not None:
            self._start_waiting()

    def _start_waiting(self) -> None:
        if self._is_starting:
            return  # one that was answered while it was started; the loop below goes on
        self._is_starting = True
        try:
            while len(self._starting) < MAX_STARTING and not self.stopping:
                self._last_started = 1 - self._last_started
                queue = self._waiting[self._last_started] or self._waiting[1 - self._last_started]
                if not queue:
                    return
                request = queue.popleft()
                if request.channel is not None:  # the client is still there
                    self._starting[request] = time.monotonic()
                    request.start()
        finally:
            self._is_starting = False

    # --- Time ---

    def watch(self) -> None:
        """Check the time limits of all connections, now and from time to time.

        One timer for all is cheaper than resetting one with each request and each read.
        """
        from twisted.internet import reactor

        cast(Any, reactor).callLater(self._interval, self.watch)
        now = time.monotonic()
        for channel in list(self._channels):
            channel.check(now)
        for request, started in list(self._starting.items()):
            if now > started + STARTING_SECONDS:
                self.answered(request)

    # --- The end ---

    def stop(self, server: Any) -> asyncio.Future[None]:
        """End all applications and HTTP connections of a server that stops.

        From now on no request is started. Those at work, and those whose client has left, have a
        moment to finish. All other applications are cancelled at once, as Daphne does. Nothing
        happens in this tick, so that the WebSocket clients are told first.
        """
        self.stopping = True
        return asyncio.ensure_future(self._end(server))

    async def _end(self, server: Any) -> None:
        at_work = {request for channel in self._channels for request in channel.requests}
        requests, left, others = {}, [], []
        for protocol, details in server.connections.items():
            application = details.get("application_instance")
            if application is None or application.done():
                continue
            if protocol in at_work:
                requests[application] = protocol
            elif details.get("disconnected"):
                # It should be ending already. If it was cancelled now, Django would leave the
                # exception of its listener to asyncio, which logs it.
                left.append(application)
            else:
                application.cancel()
                others.append(application)
        for channel in list(self._channels):
            channel.stop()
        await _wait([*requests, *left], FINISH_TIMEOUT)
        for application in left:
            application.cancel()  # changes nothing if it has ended
        for application, request in requests.items():
            if not application.done():
                request.send_disconnect()
        await _wait([*requests, *left, *others], END_TIMEOUT)
        if any(channel.is_closing() for channel in self._channels):
            await _wait([asyncio.ensure_future(self._all_closed.wait())], FLUSH_TIMEOUT)


async def _wait(tasks: list[asyncio.Future[Any]], timeout: float) -> None:  # noqa: ASYNC109
    if tasks:
        await asyncio.wait(tasks, timeout=timeout)
