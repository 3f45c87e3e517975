"""A Daphne in the event loop of a test, and a client that reads only on request."""

import asyncio
import functools
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import daphne.server
import pytest
import twisted.internet
import txaio
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.error import ConnectionDone
from twisted.internet.posixbase import PosixReactorBase
from twisted.internet.tcp import Port
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.extensions import ClientExtensionFactory
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from pubsub.core.configuration import Configuration
from pubsub.core.publication import Frame as OutgoingFrame
from pubsub.transport import accept
from pubsub.transport.base import Other
from pubsub.transport.daphne import HttpLimits, install
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic

TIME_LIMIT = 60
"""Seconds after which a waiting test fails."""


class Reactor(AsyncioSelectorReactor):
    """Twisted's asyncio reactor for a loop that already runs and keeps running afterwards."""

    def run(self, installSignalHandlers: bool = True) -> None:  # noqa: N803
        """Start without running the loop, which runs already."""
        self.startRunning(installSignalHandlers=False)

    def crash(self) -> None:
        """Stop without stopping the loop."""
        PosixReactorBase.crash(self)

    def dispose(self) -> None:
        """Close everything that Twisted leaves open until the process ends."""
        for call in self.getDelayedCalls():
            call.cancel()
        for reader in [*self.removeAll(), *self._internalReaders]:
            self.removeReader(reader)
            reader.connectionLost(Failure(ConnectionDone()))
        if self._timerHandle is not None:
            self._timerHandle.cancel()


def run(reactor: Any, when_running: Callable[[], None]) -> None:
    """Run the reactor until something stops it; after some time it is the test that failed."""
    reactor.callWhenRunning(when_running)
    reactor.callLater(TIME_LIMIT, reactor.crash)
    reactor.run(installSignalHandlers=False)


@functools.cache
def begin_logging() -> None:
    """Discard Twisted's own log, which can be started only once per process."""
    globalLogBeginner.beginLoggingTo([lambda _: None], redirectStandardIO=False, discardBuffer=True)


@asynccontextmanager
async def installed_reactor() -> AsyncIterator[Reactor]:
    """Let Daphne and Autobahn use a reactor on the running loop."""
    begin_logging()
    reactor = Reactor(asyncio.get_running_loop())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twisted.internet, "reactor", reactor)
        patch.setitem(sys.modules, "twisted.internet.reactor", reactor)
        patch.setattr(daphne.server, "reactor", reactor)
        patch.setattr(globalLogBeginner, "beginLoggingTo", lambda *args, **kwargs: None)
        patch.setattr(txaio.config, "loop", reactor)
        try:
            yield reactor
        finally:
            reactor.dispose()


class Peer:
    """A peer that records the calls of its transport."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.read: list[Any] = []
        self.others = 0
        self.writable = 0
        self.lost = 0
        self.error: Exception | None = None
        self.changed = asyncio.Event()

    def on_readable(self) -> None:
        """Read all messages."""
        if self.error is not None:
            raise self.error
        while (message := self.transport.next_message()) is not None:
            if isinstance(message, Other):
                self.others += 1
            else:
                self.read.append(message)
        self.changed.set()

    def on_writable(self) -> None:
        """Count the call."""
        self.writable += 1
        self.changed.set()

    def on_end(self, end: Callable[[], None]) -> None:
        """Close at once."""
        end()

    def on_lost(self) -> None:
        """Count the call."""
        self.lost += 1
        self.changed.set()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Wait for a condition that one of these calls makes true."""
        async with asyncio.timeout(TIME_LIMIT):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Client:
    """A WebSocket client that reads from its socket only while a test calls `receive`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        extensions: Sequence[ClientExtensionFactory],
    ) -> None:
        self.reader = reader
        self.writer = writer
        uri = parse_uri("ws://localhost/ws")
        self.protocol = ClientProtocol(uri, extensions=extensions, max_size=None)
        self.events: list[Any] = []
        self.stall()

    def stall(self) -> None:
        """Stop reading until `receive` is called."""
        with suppress(RuntimeError):
            self.writer.transport.pause_reading()

    async def send(self, text: str | bytes, opcode: Opcode = Opcode.TEXT) -> None:
        """Send a frame."""
        data = text.encode() if isinstance(text, str) else text
        await self.send_bytes(Frame(opcode, data).serialize(mask=True))

    async def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are; they need not form a frame."""
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self) -> Any:
        """Return the next frame, or ``None`` at the end of the stream."""
        self.writer.transport.resume_reading()
        try:
            async with asyncio.timeout(TIME_LIMIT):
                while not self.events:
                    try:
                        data = await self.reader.read(1 << 16)
                    except ConnectionError:
                        data = b""
                    if not data:
                        return None
                    self.protocol.receive_data(data)
                    self.events += self.protocol.events_received()
        finally:
            self.stall()
        return self.events.pop(0)

    async def receive_text(self) -> str:
        """Return the text of the next frame, which must be a text frame."""
        frame = await self.receive()
        assert frame.opcode is Opcode.TEXT, frame
        return frame.data.decode()

    async def receive_close(self) -> tuple[int, str] | None:
        """Skip to the close frame; return its code and reason, or ``None`` without one."""
        while (frame := await self.receive()) is not None:
            if frame.opcode is Opcode.CLOSE:
                closed = self.protocol.close_rcvd
                return closed.code, closed.reason
        return None

    async def answer(self) -> None:
        """Send the protocol's pending answers: pongs and the close frame."""
        for data in self.protocol.data_to_send():
            if data:
                await self.send_bytes(data)

    def reset(self) -> None:
        """Disconnect without the closing handshake."""
        self.writer.transport.abort()


class Session:
    """A client, its transport and its peer."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.scope: dict[str, Any] = {}
        self.transport: Any = None
        self.peer: Peer
        self.asked = asyncio.Event()
        self.may_accept = asyncio.Event()
        self.accepted = asyncio.Event()
        self.may_serve = asyncio.Event()
        self.failure: Exception | None = None
        self.ended = asyncio.Event()

    def write(self, *texts: str) -> None:
        """Write these texts to the client."""
        self.transport.write([OutgoingFrame(text.encode()) for text in texts])

    def fill(self) -> int:
        """Write until the socket is full; return the number of texts."""
        count = 0
        while self.transport.writable:
            self.write(f"{count:06}" + "x" * 10_000)
            count += 1
        return count


class Daphne:
    """A real Daphne whose application accepts every client and serves it with a `Peer`."""

    def __init__(self, reactor: Reactor, *, tls: ssl.SSLContext | None, **options: Any) -> None:
        self.config = Configuration(**options.pop("config", {}))
        self.timeouts = Timeouts(
            write_timeout=self.config.write_timeout, ping_interval=self.config.ping_interval
        )
        self.traffic = Traffic()
        self.reactor = reactor
        self.wrap_send: Callable[[Any], Any] = lambda send: send
        self.keep_scope: Callable[[Any], Any] = lambda scope: scope
        self.sessions: list[Session] = []
        self.next_session: Session | None = None
        self.tls = tls
        self.server = daphne.server.Server(self.application, signal_handlers=False, **options)

    async def start(self) -> None:
        """Listen on a free port."""
        self.server.run()
        await self.server.listeners[0].asFuture(asyncio.get_running_loop())
        (port,) = (each for each in self.reactor.getReaders() if isinstance(each, Port))
        self.host = port.getHost()

    async def application(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Serve a client."""
        session = self.next_session
        assert session is not None
        session.scope = scope
        await receive()
        session.asked.set()
        await session.may_accept.wait()
        transport = await accept(
            self.keep_scope(scope),
            receive,
            self.wrap_send(send),
            subprotocol=None,
            config=self.config,
            timeouts=self.timeouts,
            traffic=self.traffic,
        )
        session.transport = transport
        session.peer = Peer(transport)
        session.accepted.set()
        await session.may_serve.wait()
        try:
            if session.failure is not None:
                raise session.failure
            await transport.serve(session.peer)
        finally:
            session.ended.set()

    async def connect_socket(self, extensions: Sequence[ClientExtensionFactory]) -> Client:
        """Open a connection."""
        if hasattr(self.host, "name"):
            streams = await asyncio.open_unix_connection(self.host.name)
        else:
            streams = await asyncio.open_connection("127.0.0.1", self.host.port, ssl=self.tls)
        return Client(*streams, extensions)

    async def connect(self, *, serve: bool = True) -> Session:
        """Open a WebSocket; its transport is served at once or when the test says so."""
        session = await self.request()
        if serve:
            session.may_serve.set()
        await self.accept(session)
        return session

    async def accept(self, session: Session) -> None:
        """Complete the handshake."""
        session.may_accept.set()
        assert await session.client.receive() is not None
        await session.accepted.wait()

    async def request(self, *, extensions: Sequence[ClientExtensionFactory] = ()) -> Session:
        """Request a WebSocket that the application does not accept yet."""
        client = await self.connect_socket(extensions)
        self.next_session = session = Session(client)
        self.sessions.append(session)
        client.protocol.send_request(client.protocol.connect())
        await client.answer()
        async with asyncio.timeout(TIME_LIMIT):
            await session.asked.wait()
        return session

    @property
    def protocol(self) -> Any:
        """Daphne's protocol of the one handshake that is not complete."""
        (found,) = (each for each in self.server.connections if hasattr(each, "STATE_OPEN"))
        return found

    async def turn_until(self, condition: Callable[[], Any]) -> None:
        """Run the event loop until a condition holds for which there is no event."""
        async with asyncio.timeout(TIME_LIMIT):
            while not condition():  # noqa: ASYNC110  # there is no event to wait for
                await asyncio.sleep(0)


@asynccontextmanager
async def running_daphne(
    *,
    endpoint: str = "tcp:0:interface=127.0.0.1",
    tls: ssl.SSLContext | None = None,
    limits: HttpLimits | None = None,
    **options: Any,
) -> AsyncIterator[Daphne]:
    """Run a Daphne for one test; with ``limits``, everything is installed in it."""
    async with installed_reactor() as reactor:
        if limits is not None:
            install(limits)
        server = Daphne(reactor, tls=tls, endpoints=[endpoint], **options)
        await server.start()
        try:
            yield server
        finally:
            for session in server.sessions:
                session.client.reset()
                session.may_accept.set()
                session.may_serve.set()
            for details in list(server.server.connections.values()):
                if task := details.get("application_instance"):
                    task.cancel()
                    await asyncio.wait([task])
            for session in server.sessions:
                with suppress(Exception):
                    await session.client.writer.wait_closed()
