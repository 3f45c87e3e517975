"""One HTTP connection on Daphne and its requests, with bounds that Twisted does not have."""

import asyncio
import math
import sys
import time
from io import BytesIO
from typing import Any
from urllib.parse import unquote

import msgspec
from daphne.http_protocol import WebRequest
from twisted.internet.abstract import FileDescriptor
from twisted.web.http import RESPONSES, HTTPChannel

from pubsub.protocol.codes import ErrorCode
from pubsub.transport.daphne.http_connections import HttpConnections

if sys.platform != "win32":
    import fcntl
    import termios

KEEP_ALIVE_TIMEOUT = 60.0
"""Seconds that a connection is kept open between two requests."""

LINGER_TIMEOUT = 10.0
"""Seconds that a client may continue to send a request that was rejected."""

MAX_PIPELINED = 16 * 1024
"""Bytes of pipelined requests that are kept during a request; then the socket is not read."""


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that starts no further request while a response is not drained.

    Twisted only stops reading the *socket* then, and continues with the requests that it has read;
    36 kB of requests can ask for a gigabyte of responses.
    """

    def __init__(self, connections: HttpConnections) -> None:
        super().__init__()
        self.connections = connections
        self._idle = True
        self._deadline = math.inf
        self._refused = False
        self._undrained: Request | None = None
        self._drained: asyncio.Event | None = None
        self._held = 0
        self._unsent = -1
        self._stall_deadline = math.inf

    def connectionMade(self) -> None:  # noqa: N802
        """Start the time limit for the first request."""
        # Twisted limits only silence; a client that sends a byte now and then would never hit it.
        self.timeOut = None
        self.requestFactory = Request
        super().connectionMade()
        self._deadline = time.monotonic() + self.connections.limits.request_timeout
        self.connections.add(self)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """Stop watching the connection, and wake what waits for it."""
        self.upgraded()
        self._waitingForTransport = False
        self._wake()
        super().connectionLost(reason)

    def upgraded(self) -> None:
        """Stop watching the connection: it has switched to another protocol, or is closed."""
        self._deadline = math.inf
        self.connections.discard(self)

    # --- Reading ---

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Read requests, or discard the rest of one that was rejected."""
        if self._refused:
            return
        if self._idle:
            self._idle = False
            self._deadline = time.monotonic() + self.connections.limits.request_timeout
        super().dataReceived(data)

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802
        """Continue with a body, or keep a little of the requests behind the one in progress."""
        if not self._handlingRequest:
            super().rawDataReceived(data)
            return
        # Twisted does this too, but it starts counting again each time, and does not count while
        # a response is waiting.
        self._dataBuffer.append(data)
        self._held += len(data)
        if self._held > MAX_PIPELINED:
            self._networkProducer.pauseProducing()

    def allHeadersReceived(self) -> None:  # noqa: N802
        """Reject a body whose announced size is too large, before "100 Continue" asks for it."""
        request = self.requests[-1]
        if self.length != 0:
            request.body_limit = self._body_limit(request)
            if request.body_limit is not None and (self.length or 0) > request.body_limit:
                self.refuse_body(request.body_limit)
                return
        super().allHeadersReceived()

    def _body_limit(self, request: "Request") -> int | None:
        limits = self.connections.limits
        root = request.requestHeaders.getRawHeaders(b"Daphne-Root-Path")
        root_path = unquote(root[-1].decode("latin-1")) if root else request.server.root_path
        path = unquote(self._path.split(b"?", 1)[0].decode("latin-1"))
        bounded = request.is_upgrade() or limits.is_bounded(path.removeprefix(root_path))
        return limits.max_body if bounded else None

    def allContentReceived(self) -> None:  # noqa: N802
        """Start the application, unless the request was rejected or the server is stopping."""
        if self._refused:
            return
        if self.connections.stopping and not self.requests[-1].is_upgrade():
            self.refuse(503, ErrorCode.UNAVAILABLE, "the server is stopping")
            return
        self._deadline = math.inf
        super().allContentReceived()

    # --- Writing ---

    def requestDone(self, request: "Request") -> None:  # noqa: N802
        """Start the next request once the client has read this response."""
        if self.connections.stopping:
            self.persistent = False
        if self._waitingForTransport and self.persistent:
            self._undrained = request
        else:
            self._read_next(request)

    def _read_next(self, request: "Request") -> None:
        self._idle = True
        self._held = 0
        self._deadline = time.monotonic() + KEEP_ALIVE_TIMEOUT
        super().requestDone(request)

    def resumeProducing(self) -> None:  # noqa: N802
        """Continue: the kernel has taken everything that was written."""
        super().resumeProducing()
        self._unsent = -1
        self._wake()
        if self._undrained is not None:
            request, self._undrained = self._undrained, None
            self._read_next(request)

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    async def drained(self) -> None:
        """Wait until the client has read what was written, if Twisted's buffer is full."""
        while self._waitingForTransport:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    # --- The end ---

    def refuse_body(self, limit: int) -> None:
        """Reject a request because its body is too large."""
        message = f"request body exceeds {limit} bytes"
        self.refuse(413, ErrorCode.MESSAGE_TOO_LARGE, message)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        """Reject a request with a line that is too long."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        self.refuse(400, ErrorCode.BAD_REQUEST, "malformed request")

    def refuse(self, status: int, code: ErrorCode, message: str) -> None:
        """Answer a request before it is read completely, and close the connection.

        Closing the socket while the client is still sending would reset the connection, and the
        client might not see the answer. So its input is read and discarded for `LINGER_TIMEOUT`.
        """
        if self._refused:
            return
        self._refused = True
        self._deadline = time.monotonic() + LINGER_TIMEOUT
        self.clearLineBuffer()
        body = msgspec.json.encode({"error": {"code": code, "message": message}})
        self.transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (status, RESPONSES[status], len(body), body)
        )
        self._networkProducer.unregisterProducer()
        self._networkProducer.resumeProducing()
        if isinstance(self.transport, FileDescriptor):
            self.transport.loseWriteConnection()  # type: ignore[no-untyped-call]
        else:
            self.transport.loseConnection()  # TLS closes one direction by a message of its own

    def stop(self) -> None:
        """Close the connection as soon as the request in progress is answered."""
        if self._is_http2():
            return
        request = self.requests[0] if self._handlingRequest and self.requests else None
        if request is None or request.finished or not request.started:
            self.loseConnection()
            return
        self._networkProducer.pauseProducing()
        if not request.startedWriting:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])

    def is_closing(self) -> bool:
        """Return whether the connection closes once the kernel has taken the waiting bytes."""
        return bool(self.transport.disconnecting)

    def check(self, now: float) -> None:
        """Enforce the time limits; ``now`` is in seconds of the monotonic clock."""
        if self._waitingForTransport or self.is_closing():
            self._check_progress(now)
        elif now <= self._deadline:
            return
        elif self._is_http2():
            self.upgraded()
        elif self._refused:
            self.transport.abortConnection()
        elif self.requests or self._buffer:
            seconds = self.connections.limits.request_timeout
            message = f"the request was not complete within {seconds:g} seconds"
            self.refuse(408, ErrorCode.BAD_REQUEST, message)
        else:
            self.loseConnection()

    def _check_progress(self, now: float) -> None:
        unsent = self._unsent_bytes()
        if unsent != self._unsent:
            self._unsent = unsent
            self._stall_deadline = now + self.connections.limits.write_timeout
        elif now > self._stall_deadline:
            self.transport.abortConnection()

    def _unsent_bytes(self) -> int:
        transport: Any = self.transport
        tcp = transport if isinstance(transport, FileDescriptor) else transport.transport
        buffered = len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen
        if sys.platform == "win32":
            return int(buffered)
        # The kernel takes large pieces from Twisted, so a slow reader's progress shows only there.
        in_kernel = fcntl.ioctl(tcp.fileno(), termios.TIOCOUTQ, bytes(4))
        return int(buffered) + int.from_bytes(in_kernel, sys.byteorder)

    def _is_http2(self) -> bool:
        # Twisted hands such a connection to another object, and does not notify this one.
        return getattr(self.transport, "negotiatedProtocol", None) == b"h2"


class Request(WebRequest):  # type: ignore[misc]
    """A request whose body is bounded and whose application waits for the client to read."""

    body_limit: int | None = None
    """Largest size of the body in bytes; ``None`` for no limit."""

    _body_size = 0

    def __init__(self, channel: Any, queued: Any) -> None:
        # Daphne does not use form fields, and parsing them would copy the body.
        super().__init__(channel, queued, parsePOSTFormSubmission=False)
        self._connections: HttpConnections = channel.connections
        self.started = False

    def is_upgrade(self) -> bool:
        """Return whether this is a WebSocket handshake, by the rule that Daphne applies."""
        upgrade = self.requestHeaders.getRawHeaders(b"Upgrade")
        return bool(upgrade) and upgrade[0].lower() == b"websocket"

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Prepare for the body: a bounded one is kept in memory, another may go to the disk."""
        if self.body_limit is None:
            super().gotLength(length)
        else:
            self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Keep a piece of the body, or reject the request if the body is too large."""
        self._body_size += len(data)
        if self.body_limit is not None and self._body_size > self.body_limit:
            self.channel.refuse_body(self.body_limit)
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        """Queue the request, or start it at once if it is a WebSocket handshake."""
        if self.is_upgrade():
            self.start()
        else:
            self._connections.start(self)

    def start(self) -> None:
        """Start the application, or switch the connection to the WebSocket protocol."""
        channel = self.channel
        self.started = True
        super().process()
        if self.transport is None:
            channel.upgraded()

    async def drained(self) -> None:
        """Wait until the client has read what was written, if Twisted's buffer is full."""
        if not self.finished and self.channel is not None:
            await self.channel.drained()

    def finish(self) -> None:
        """Finish the response, and let another request start."""
        connections = self._connections
        super().finish()
        connections.answered(self)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """Notify the application, unless it has already finished."""
        if not self.finished:
            super().connectionLost(reason)
            self._connections.answered(self)

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer in JSON when Daphne rejects a request or the application fails."""
        code = ErrorCode.BAD_REQUEST if status < 500 else ErrorCode.INTERNAL
        message = status_text.decode().lower() if status >= 500 else body.lower()
        content = msgspec.json.encode({"error": {"code": code, "message": message}})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
        ]
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": content})
