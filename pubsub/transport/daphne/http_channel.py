"""One HTTP connection on Daphne and its requests, with bounds that Twisted's do not have."""

import asyncio
import fcntl
import math
import sys
import termios
import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any
from urllib.parse import unquote

import msgspec
from daphne.http_protocol import WebRequest
from twisted.internet.abstract import FileDescriptor
from twisted.web.http import RESPONSES, HTTPChannel

from pubsub.protocol.codes import ErrorCode
from pubsub.transport.daphne.descriptors import are_short
from pubsub.transport.daphne.http_connections import HttpConnections

KEEP_ALIVE_TIMEOUT = 60.0
"""Seconds for which a connection is kept between two requests."""

LINGER_TIMEOUT = 10.0
"""Seconds for which a client may go on sending a request that has been refused."""

MAX_PIPELINED = 16 * 1024
"""Bytes of the requests behind the one at work that are kept; then the socket is not read."""


ROOT_PATH = b"Daphne-Root-Path"
"""The header with which a proxy moves the root of the site."""

SUBPROTOCOLS = b"Sec-WebSocket-Protocol"

DECODED_HEADERS = (ROOT_PATH, SUBPROTOCOLS)
"""Headers that Daphne decodes as ASCII. It logs a traceback if one of them is not."""


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that reads no further request while a response is not drained.

    Twisted stops reading the *socket* then, but goes on with the requests that it has read, and
    36 kB of requests can ask for a gigabyte of responses.
    """

    def __init__(self, connections: HttpConnections) -> None:
        super().__init__()
        self.connections = connections
        self._idle = True
        self._successor: Any = None
        self._deadline = math.inf
        self._refused = False
        self._undrained: Request | None = None
        self._drained: asyncio.Event | None = None
        self._held = 0
        self._unsent = -1
        self._stall_deadline = math.inf

    def connectionMade(self) -> None:  # noqa: N802
        """Begin to wait for the first request."""
        # Twisted's limit is on silence, which a client that sends a byte now and then escapes.
        self.timeOut = None
        self.requestFactory = Request
        super().connectionMade()
        self._deadline = time.monotonic() + self.connections.limits.request_timeout
        self.connections.add(self)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """Let go everything that waits for this connection."""
        self._forget()
        self._waitingForTransport = False
        self._wake()
        super().connectionLost(reason)

    def upgraded(self, successor: Any) -> None:
        """Leave the connection, and what else was read from it, to the WebSocket protocol."""
        self._successor = successor
        if self._dataBuffer:  # frames that came while the handshake waited for its turn
            successor.data += b"".join(self._dataBuffer)
            self._networkProducer.resumeProducing()
        # The two refer to each other, and nobody needs either of them any more.
        self.requests.clear()
        self._forget()

    def _forget(self) -> None:
        self._deadline = math.inf
        self.connections.discard(self)

    # --- Reading ---

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Read requests, or discard the rest of one that was refused."""
        if self._refused:
            return
        if self._idle:
            self._idle = False
            self._deadline = time.monotonic() + self.connections.limits.request_timeout
        super().dataReceived(data)

    def rawDataReceived(self, data: bytes) -> None:  # noqa: N802
        """Keep a little of what follows the request at work, or go on with a body."""
        if self._successor is not None:
            # Frames that came together with the handshake. `dataReceived` would take them for
            # another handshake, because this one is not answered yet.
            self._successor.data += data
            return
        if not self._handlingRequest:
            super().rawDataReceived(data)
            return
        # As Twisted does, but it counts anew each time, and not at all while a response waits.
        self._dataBuffer.append(data)
        self._held += len(data)
        if self._held > MAX_PIPELINED:
            self._networkProducer.pauseProducing()

    def allHeadersReceived(self) -> None:  # noqa: N802
        """Refuse a body that is announced as too large, before "100 Continue" asks for it."""
        request = self.requests[-1]
        if not request.is_decodable():
            self._respondToBadRequestAndDisconnect()
            return
        if not self.connections.limits.trusts(getattr(self.getPeer(), "host", "")):
            request.requestHeaders.removeHeader(ROOT_PATH)
        if request.is_upgrade() and request.offers_twice():
            # Autobahn would repeat the name, which may contain a token.
            self.refuse(400, ErrorCode.BAD_REQUEST, "a subprotocol is offered twice")
            return
        if self.length != 0:
            request.body_limit = self._body_limit(request)
            if request.body_limit is not None and (self.length or 0) > request.body_limit:
                self.refuse_body(request.body_limit)
                return
        super().allHeadersReceived()

    def _body_limit(self, request: "Request") -> int | None:
        limits = self.connections.limits
        root = request.requestHeaders.getRawHeaders(ROOT_PATH)
        root_path = unquote(root[-1].decode("latin-1")) if root else request.server.root_path
        path = unquote(self._path.split(b"?", 1)[0].decode("latin-1"))
        bounded = request.is_upgrade() or limits.is_bounded(path.removeprefix(root_path))
        return limits.max_body if bounded else None

    def allContentReceived(self) -> None:  # noqa: N802
        """Start the application, unless the request was refused or the server stops."""
        if self._refused:
            return
        request = self.requests[-1]
        is_short = are_short(self._tcp.getHandle().fileno())
        if request.is_upgrade():
            if not self.connections.limits.accepts_websockets():
                self._refuse_because_of_stop()
                return
            if is_short:
                message = "the server has too many open connections"
                self.refuse(503, ErrorCode.UNAVAILABLE, message)
                return
        elif self.connections.stopping:
            self._refuse_because_of_stop()
            return
        if is_short:
            self.persistent = False
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        self._deadline = math.inf
        super().allContentReceived()

    @property
    def _tcp(self) -> Any:
        transport: Any = self.transport
        return transport if isinstance(transport, FileDescriptor) else transport.transport

    def _refuse_because_of_stop(self) -> None:
        message = "the server is stopping"
        self.refuse(503, ErrorCode.UNAVAILABLE, message, beside={"status": "draining"})

    # --- Writing ---

    def requestDone(self, request: "Request") -> None:  # noqa: N802
        """Read the next request, but only when the client has read this response."""
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
        """Everything that was written has left."""
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
        """Wait until the client has read what was written, if much of it waits."""
        while self._waitingForTransport:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    # --- The end ---

    def refuse_body(self, limit: int) -> None:
        """Refuse a request because of the size of its body."""
        message = f"request body exceeds {limit} bytes"
        self.refuse(413, ErrorCode.MESSAGE_TOO_LARGE, message)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        """Refuse a request with a line that is too long."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:  # noqa: N802
        self.refuse(400, ErrorCode.BAD_REQUEST, "malformed request")

    def refuse(
        self,
        status: int,
        code: ErrorCode,
        message: str,
        *,
        beside: Mapping[str, str] | None = None,
    ) -> None:
        """Answer a request that is not read to its end, and close the connection.

        A socket that is closed while the client still sends is reset, and the client may never
        see the answer; so what it sends is read and discarded for a while.

        Args:
            status: The HTTP status.
            code: The error code.
            message: What is wrong with the request, or with the server.
            beside: Additional fields next to ``error``.
        """
        if self._refused:
            return
        self._refused = True
        self._deadline = time.monotonic() + LINGER_TIMEOUT
        self.clearLineBuffer()
        body = msgspec.json.encode({**(beside or {}), "error": {"code": code, "message": message}})
        headers = b"".join(
            f"{name}: {value}\r\n".encode("latin-1")
            for name, value in self.connections.limits.headers_for(self._origin()).items()
        )
        self.transport.write(
            b"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n%s\r\n%s"
            % (status, RESPONSES[status], len(body), headers, body)
        )
        self._networkProducer.unregisterProducer()
        self._networkProducer.resumeProducing()
        if isinstance(self.transport, FileDescriptor):
            self.transport.loseWriteConnection()  # type: ignore[no-untyped-call]
        else:
            self.transport.loseConnection()  # TLS closes one direction by a message of its own

    def _origin(self) -> str:
        """Return the origin of the last request, as far as it has been read."""
        headers = self.requests[-1].requestHeaders if self.requests else None
        values = headers.getRawHeaders(b"Origin", ()) if headers else ()
        return b",".join(values).decode("latin-1")

    def stop(self) -> None:
        """Close the connection as soon as the request at work is answered."""
        request = self.requests[0] if self._handlingRequest and self.requests else None
        if request is None or request.finished or not request.started:
            self.loseConnection()
            return
        self._networkProducer.pauseProducing()
        if not request.startedWriting:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])

    def is_closing(self) -> bool:
        """Tell whether all is written, but not all of it has left yet."""
        return bool(self.transport.disconnecting)

    def check(self, now: float) -> None:
        """End what takes longer than it may."""
        if self._waitingForTransport or self.is_closing():
            self._check_progress(now)
        elif now <= self._deadline:
            return
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
        tcp = self._tcp
        buffered = len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen
        # The kernel takes much at once from Twisted; that a slow client reads shows only there.
        in_kernel = fcntl.ioctl(tcp.fileno(), termios.TIOCOUTQ, bytes(4))
        return int(buffered) + int.from_bytes(in_kernel, sys.byteorder)


class Request(WebRequest):  # type: ignore[misc]
    """A request whose body is bounded and whose application waits for the client to read."""

    channel: Any
    """The connection; ``None`` once it is lost, or has become a WebSocket."""

    body_limit: int | None = None
    """Bytes that its body may have; None for no limit."""

    _body_size = 0

    def __init__(self, channel: Any, queued: Any) -> None:
        # Daphne does not use the fields of a form, and to parse them takes a copy of the body.
        super().__init__(channel, queued, parsePOSTFormSubmission=False)
        self._connections: HttpConnections = channel.connections
        self.started = False

    def is_upgrade(self) -> bool:
        """Tell whether this is the handshake of a WebSocket, as Daphne decides it."""
        upgrade = self.requestHeaders.getRawHeaders(b"Upgrade")
        return bool(upgrade) and upgrade[0].lower() == b"websocket"

    def offers_twice(self) -> bool:
        """Return whether a handshake offers a subprotocol twice (RFC 6455 §4.1)."""
        lines = self.requestHeaders.getRawHeaders(SUBPROTOCOLS, [])
        offered = [name.strip() for name in b",".join(lines).split(b",")]
        return len(set(offered)) < len(offered)

    def is_decodable(self) -> bool:
        """Tell whether Daphne can decode the headers that it reads."""
        headers = self.requestHeaders
        values = [headers.getRawHeaders(name, ()) for name in DECODED_HEADERS]
        return all(value.isascii() for each in values for value in each)

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """Prepare for the body; a bounded one is kept in memory, others may need the disk."""
        if self.body_limit is None:
            super().gotLength(length)
        else:
            self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Keep a piece of the body, or refuse the request when it becomes too large."""
        self._body_size += len(data)
        if self.body_limit is not None and self._body_size > self.body_limit:
            self.channel.refuse_body(self.body_limit)
        else:
            super().handleContentChunk(data)

    def process(self) -> None:
        """Wait for a turn, but not with a handshake that is told that the server stops."""
        if self.is_upgrade() and self._connections.stopping:
            self.start()
        else:
            self._connections.start(self)

    def start(self) -> None:
        """Start the application, or hand the connection over to the WebSocket protocol."""
        channel = self.channel
        transport = self.transport
        self.started = True
        super().process()
        if self.transport is None:
            # TLS wraps the protocol. Where neither name exists any more, frames that come together
            # with the handshake are lost, and nothing else.
            wrapped = getattr(transport, "wrappedProtocol", None)
            successor = wrapped or getattr(transport, "protocol", None)
            channel.upgraded(successor)
            self._connections.handed_over(self, successor)
            self.channel = None

    def handle_reply(self, message: dict[str, Any]) -> None:
        """Write a part of the response; one to HEAD has no body (RFC 9110 §9.3.2).

        Twisted omits only what is written first.
        """
        if self.method == b"HEAD" and message.get("body"):
            message = {**message, "body": b""}
        super().handle_reply(message)

    async def drained(self) -> None:
        """Wait until the client has read what was written, if much of it waits."""
        if not self.finished and self.channel is not None:
            await self.channel.drained()

    def finish(self) -> None:
        """Finish the response, and let another request have its turn."""
        connections = self._connections
        super().finish()
        connections.answered(self)

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """Tell the application, unless it has already finished."""
        if not self.finished:
            super().connectionLost(reason)
            self._connections.answered(self)

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer what Daphne itself refuses, or what failed, in JSON."""
        code = ErrorCode.BAD_REQUEST if status < 500 else ErrorCode.INTERNAL
        message = status_text.decode().lower() if status >= 500 else body.lower()
        content = msgspec.json.encode({"error": {"code": code, "message": message}})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
        ]
        self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": content})
