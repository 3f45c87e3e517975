"""A site on a bounded Daphne, and HTTP clients that send what they like."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from pubsub.transport.daphne import HttpLimits
from pubsub.transport.daphne.http_channel import Channel
from tests.transport.daphne.support import TIME_LIMIT, Daphne, running_daphne

LIMITS = HttpLimits(
    max_body=1000,
    is_bounded=lambda path: not path.startswith("/free"),
    request_timeout=TIME_LIMIT,
    write_timeout=TIME_LIMIT,
)

LARGE = 16 << 20
"""Bytes, more than the kernel keeps for a client that does not read."""


def get(path: str, *headers: str) -> bytes:
    """Return a request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def post(path: str, *headers: str) -> bytes:
    """Return the head of a request with a body."""
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    """Return a chunk of a body without a declared length (RFC 9112 §7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


HANDSHAKE = get(
    "/ws",
    "Upgrade: WebSocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
"""What makes a WebSocket of a connection."""


class Connection:
    """A connection of a client. What it has not asked for is not read for long."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send something, all of it if the server reads on."""
        self.writer.write(data)
        await asyncio.sleep(0)

    async def read_head(self) -> tuple[int, dict[str, str]]:
        """Read the head of a response."""
        async with asyncio.timeout(TIME_LIMIT):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.splitlines()[:-1]
        headers = dict(line.lower().split(": ", 1) for line in lines)
        return int(status.split()[1]), headers

    async def read_response(self) -> tuple[int, bytes]:
        """Read a response."""
        status, headers = await self.read_head()
        async with asyncio.timeout(TIME_LIMIT):
            if status == 100:
                return status, b""
            return status, await self.reader.readexactly(int(headers["content-length"]))

    async def read_error(self) -> tuple[int, str, str]:
        """Read a JSON error, which has to be the last response; return status, code and message."""
        status, headers = await self.read_head()
        assert headers["content-type"] == "application/json"
        assert headers["connection"] == "close"
        body = await self.read_to_the_end()
        assert len(body) == int(headers["content-length"])
        error = json.loads(body)["error"]
        return status, error["code"], error["message"]

    async def read_to_the_end(self) -> bytes:
        """Return everything that comes before the server ends the connection."""
        data = bytearray()
        async with asyncio.timeout(TIME_LIMIT):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(1 << 20):
                    data += piece
        return bytes(data)

    def reset(self) -> None:
        """Leave without a word."""
        self.writer.transport.abort()


class Site:
    """An application with a path for everything that it can do, on a Daphne of its own."""

    def __init__(self, server: Daphne) -> None:
        self.server = server
        self.requests: list[str] = []
        self.events: list[str] = []
        self.pieces = 0
        self.may_answer = asyncio.Event()
        self.changed = asyncio.Event()
        server.server.application = self.application

    async def application(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve a request."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            self.events.append((await receive()).get("text", "closed"))
            return
        path = scope["path"]
        self.requests.append(path)
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        serve: Callable[..., Any] = {
            "/large": self.large,
            "/large/piecewise": self.large_piecewise,
            "/large/at-once": self.large_at_once,
            "/wait": self.wait,
            "/wait/for-ever": self.wait_for_ever,
            "/start": self.start,
            "/fail": self.fail,
            "/ignore": self.ignore,
        }.get(path, self.size)
        try:
            await serve(receive, send, size)
        except asyncio.CancelledError:
            self.events.append(f"{path} was cancelled")
            raise

    async def size(self, receive: Any, send: Any, size: int) -> None:
        """Answer by the number of bytes in the body."""
        await self.respond(send, b"%d" % size)

    async def large(self, receive: Any, send: Any, size: int) -> None:
        """Send a large response in one piece."""
        await self.respond(send, bytes(LARGE))
        self.events.append("large is sent")

    async def large_piecewise(self, receive: Any, send: Any, size: int) -> None:
        """Send a large response in many pieces."""
        await self.begin(send, LARGE)
        for number in range(64):
            body = bytes(LARGE // 64)
            await send({"type": "http.response.body", "body": body, "more_body": number < 63})
            self.pieces += 1

    async def large_at_once(self, receive: Any, send: Any, size: int) -> None:
        """Send the pieces of a large response from many tasks."""
        await self.begin(send, LARGE)
        body = {"type": "http.response.body", "body": bytes(LARGE // 4), "more_body": True}
        await asyncio.gather(*(send(body) for _ in range(4)))
        await send({"type": "http.response.body"})

    async def wait(self, receive: Any, send: Any, size: int) -> None:
        """Answer when the test says so, or when the client is gone."""
        gone = asyncio.ensure_future(receive())
        allowed = asyncio.ensure_future(self.may_answer.wait())
        await asyncio.wait([gone, allowed], return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            self.events.append(gone.result()["type"])
            allowed.cancel()
            return
        gone.cancel()
        await self.respond(send, b"waited")

    async def wait_for_ever(self, receive: Any, send: Any, size: int) -> None:
        """Never answer."""
        await asyncio.Event().wait()

    async def start(self, receive: Any, send: Any, size: int) -> None:
        """Send a half, and the rest when the test says so."""
        await self.begin(send, 2)
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await self.may_answer.wait()
        await send({"type": "http.response.body", "body": b"2"})

    async def ignore(self, receive: Any, send: Any, size: int) -> None:
        """Answer when the test says so, whether or not the client is still there."""
        await self.may_answer.wait()
        await self.respond(send, b"ignored")
        self.events.append("ignored")

    async def fail(self, receive: Any, send: Any, size: int) -> None:
        """Fail."""
        raise RuntimeError("the application fails")

    async def begin(self, send: Any, length: int) -> None:
        """Send the head of a response."""
        headers = [(b"content-length", b"%d" % length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def respond(self, send: Any, body: bytes) -> None:
        """Send a response."""
        await self.begin(send, len(body))
        await send({"type": "http.response.body", "body": body})

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """Open a connection, whose socket keeps little for a client that does not read."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.server.host.port))
        name = "localhost" if self.server.tls else None
        streams = await asyncio.open_connection(
            sock=sock, ssl=self.server.tls, server_hostname=name, limit=1 << 14
        )
        connection = Connection(*streams)
        try:
            yield connection
        finally:
            connection.reset()
            with contextlib.suppress(Exception):
                await connection.writer.wait_closed()

    @property
    def transports(self) -> list[Any]:
        """Twisted's transports of the connections that are being read."""
        readers = self.server.reactor.getReaders()
        return [each for each in readers if hasattr(each, "protocol")]

    @property
    def channels(self) -> list[Channel]:
        """The HTTP connections that are being read."""
        found = []
        for transport in self.transports:
            protocol = transport.protocol
            protocol = getattr(protocol, "wrappedProtocol", protocol)
            if isinstance(protocol, Channel):
                found.append(protocol)
        return found

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let the event loop run until something holds."""
        await self.server.turn_until(condition)

    async def until_read(self, count: int = 1) -> Channel:
        """Wait until so many connections are read; return the last one."""
        await self.until(lambda: len(self.channels) == count)
        return self.channels[-1]

    async def until_not_read(self) -> None:
        """Wait until no connection is read."""
        await self.until(lambda: not self.channels)

    async def until_cut_off(self) -> None:
        """Wait until there is no connection."""
        await self.until(lambda: not self.transports and not self.server.reactor.getWriters())

    async def until_stalled(self) -> None:
        """Wait until a client has not read what was written, and others have been served."""
        await self.until(lambda: any(each._waitingForTransport for each in self.channels))
        async with self.connect() as other:
            await other.send(get("/other"))
            await other.read_response()
        self.requests.remove("/other")

    async def stop(self) -> None:
        """Stop Daphne, and wait until it has stopped."""
        stopped = asyncio.Event()
        reactor = self.server.reactor
        reactor.addSystemEventTrigger("after", "shutdown", stopped.set)
        reactor.stop()
        async with asyncio.timeout(TIME_LIMIT):
            await stopped.wait()


@asynccontextmanager
async def running_site(
    *, limits: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Site]:
    """Run a site on a Daphne in which everything is installed."""
    async with running_daphne(limits=replace(LIMITS, **(limits or {})), **options) as server:
        yield Site(server)
        # A connection that is not read when the server stops ends with the process.
        for request in list(server.server.connections):
            if channel := getattr(request, "channel", None):
                channel.transport.abortConnection()
        await server.turn_until(
            lambda: not any(getattr(each, "channel", None) for each in server.server.connections)
        )
