"""The transport for streams, on a real Daphne in the event loop of the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.protocol.errors import Unavailable
from pubsub.transport import open_stream
from pubsub.transport.asgi_stream import ASGIStream
from pubsub.transport.daphne import HttpLimits, foreign, http_channel
from pubsub.transport.daphne import stream as module
from pubsub.transport.daphne.stream import DaphneStream
from pubsub.transport.sse import HEADERS, Bookmark
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic
from tests.transport.daphne.http_support import LIMITS, get
from tests.transport.daphne.support import TIME_LIMIT, Daphne, Peer, running_daphne

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

HELLO = Frame(b'{"type":"info"}')
TEXT = b'event: info\ndata: {"type":"info"}\n\n'
LARGE = Frame(b'{"type":"event","x":"%b"}' % (b"x" * 20_000))


class Stream:
    """One request for a stream, its transport, and its client."""

    def __init__(self, daphne: Daphne, reader: Any, writer: Any, timeouts: Timeouts) -> None:
        self.daphne = daphne
        self.reader = reader
        self.writer = writer
        self.timeouts = timeouts
        self.opened = asyncio.Event()
        self.ended = asyncio.Event()
        self.refusal: Exception | None = None
        self.transport: Any = None
        self.peer: Peer

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """Open the stream and serve it."""
        try:
            self.transport = await open_stream(
                scope,
                receive,
                send,
                headers=HEADERS,
                bookmark=Bookmark({}),
                timeouts=self.timeouts,
                traffic=Traffic(),
            )
        except Unavailable as error:
            self.refusal = error
            self.opened.set()
            return
        self.peer = Peer(self.transport)
        self.opened.set()
        await self.transport.serve(self.peer)
        self.ended.set()

    async def until_opened(self) -> None:
        """Wait until the transport is there, and its headers are written."""
        async with asyncio.timeout(TIME_LIMIT):
            await self.opened.wait()
        if isinstance(self.transport, DaphneStream):
            await self.daphne.turn_until(lambda: self.transport.writable)

    async def read(self, until: bytes) -> bytes:
        """Return what the server sends, up to these bytes."""
        async with asyncio.timeout(TIME_LIMIT):
            data: bytes = await self.reader.readuntil(until)
            return data

    async def read_rest(self) -> bytes:
        """Return what the server sends until it closes the connection."""
        async with asyncio.timeout(TIME_LIMIT):
            data: bytes = await self.reader.read()
            return data

    def fill(self) -> int:
        """Write until the socket is full; return the number of frames."""
        count = 0
        while self.transport.writable:
            self.transport.write([LARGE])
            count += 1
        return count


@asynccontextmanager
async def streaming(
    request: bytes | None = None,
    *,
    limits: HttpLimits | None = LIMITS,
    comment_interval: float = 60,
    write_timeout: float = TIME_LIMIT,
    **options: Any,
) -> AsyncIterator[Stream]:
    """Run a Daphne that answers one request with a stream."""
    async with running_daphne(limits=limits, **options) as daphne:
        client = await daphne.connect_socket(())
        client.writer.transport.resume_reading()
        timeouts = Timeouts(
            write_timeout=write_timeout, ping_interval=20, comment_interval=comment_interval
        )
        stream = Stream(daphne, client.reader, client.writer, timeouts)
        daphne.server.application = stream.application
        client.writer.write(request or get("/events"))
        try:
            await stream.until_opened()
            yield stream
        finally:
            client.writer.transport.abort()
            with suppress(Exception):
                await client.writer.wait_closed()


@pytest.mark.parametrize("encrypted", [False, True])
async def test_response(encrypted: bool, tls: dict[str, Any]) -> None:
    """The response has the headers, the events in chunks, and an end that says why."""
    async with streaming(**(tls if encrypted else {})) as stream:
        head = await stream.read(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        for line in (b"Content-Type: text/event-stream", b"Connection: close", b"chunked"):
            assert line in head
        stream.transport.write([HELLO])
        stream.transport.close(Close.SHUTDOWN, [HELLO])
        end = TEXT + b": 3001 shutdown\n\n"
        expected = b"%x\r\n%b\r\n" % (len(TEXT), TEXT) + b"%x\r\n%b\r\n" % (len(end), end)
        assert await stream.read_rest() == expected + b"0\r\n\r\n"
        await stream.ended.wait()
        assert (stream.transport.close_code, stream.transport.close_reason) == (3001, "shutdown")
        assert stream.transport.traffic.sent == len(expected) + 5
        stream.transport.close(Close.SLOW)  # changes nothing
        assert stream.transport.close_code == 3001
        assert stream.peer.lost == 1


async def test_http_1_0() -> None:
    """A client of HTTP/1.0 gets no chunks."""
    async with streaming(b"GET /events HTTP/1.0\r\n\r\n") as stream:
        stream.transport.write([HELLO])
        stream.transport.close(Close.SHUTDOWN)
        _, _, body = (await stream.read_rest()).partition(b"\r\n\r\n")
        assert body == TEXT + b": 3001 shutdown\n\n"


async def test_full_socket() -> None:
    """A transport whose client does not read is not writable, and loses nothing that it took."""
    async with streaming() as stream:
        await stream.read(b"\r\n\r\n")
        stream.writer.transport.pause_reading()
        count = stream.fill()
        assert stream.transport.backlog > 0
        assert stream.transport.blocked
        stream.transport.comment()
        calls = stream.peer.writable
        stream.writer.transport.resume_reading()
        data = b""
        while data.count(b"\n\n") < count:
            data += await stream.reader.read(1 << 16)
        await stream.peer.until(lambda: stream.peer.writable > calls)
        assert stream.transport.writable
        stream.transport.close(Close.SHUTDOWN)
        data += await stream.read_rest()
        assert data.count(b"event: event\n") == count
        assert b"keep-alive" not in data


async def test_input_is_discarded() -> None:
    """What the client sends behind its request is neither kept nor answered."""
    async with streaming(get("/events") + get("/pipelined")) as stream:
        await stream.read(b"\r\n\r\n")
        stream.transport.pause_reading()
        stream.transport.resume_reading()
        stream.writer.write(get("/later") * 1000)
        await stream.daphne.turn_until(
            lambda: stream.transport.traffic.received == 1000 * len(get("/later"))
        )
        assert stream.transport.next_message() is None
        stream.transport.close(Close.SHUTDOWN)
        assert (await stream.read_rest()).count(b"HTTP/1.1") == 0


async def test_client_that_leaves() -> None:
    """A client that closes its sending direction has left, and nothing refers to it any more."""
    async with streaming() as stream:
        stream.writer.write_eof()
        await stream.ended.wait()
        assert stream.transport.close_code == 1006
        assert (stream.peer.lost, stream.transport.writable) == (1, False)
        assert stream.timeouts.comments._transports == set()
        await stream.transport.serve(stream.peer)  # nobody is left to serve
        assert stream.timeouts.comments._transports == set()


async def test_socket_that_takes_nothing() -> None:
    """What the kernel does not take goes through Twisted's buffer, and the order stays."""

    def refuse(data: bytes) -> int:
        raise BlockingIOError

    async with streaming() as stream:
        stream.transport._send = refuse
        stream.transport.write([HELLO])
        assert not stream.transport.writable
        stream.transport.close(Close.SHUTDOWN)
        body = await stream.read_rest()
        assert 0 < body.index(TEXT) < body.index(b": 3001 shutdown")


async def test_stuck_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads nothing is disconnected as slow, and cut off if it never reads."""
    monkeypatch.setattr(module, "FLUSH_TIMEOUT", 0.1)
    async with streaming(write_timeout=0.1) as stream:
        stream.writer.transport.pause_reading()
        stream.fill()
        await stream.peer.until(lambda: stream.peer.lost)
        assert stream.transport.close_code == 3008
        await stream.ended.wait()


async def test_comments() -> None:
    """A silent stream gets comments."""
    async with streaming(comment_interval=0.01) as stream:
        for _ in range(2):
            assert (await stream.read(b"keep-alive\n\n\r\n")).endswith(b"\r\n: keep-alive\n\n\r\n")
        assert stream.transport in stream.timeouts.comments._transports


async def test_comment_that_does_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose kernel does not even take a comment is disconnected: it is gone."""
    monkeypatch.setattr(module, "FLUSH_TIMEOUT", 0.1)
    monkeypatch.setattr(DaphneStream, "_unsent", lambda self: 1)
    async with streaming(write_timeout=0.1) as stream:
        stream.transport.comment()
        await stream.peer.until(lambda: stream.peer.lost)
        assert stream.transport.close_code == 3008


async def test_comments_that_do_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose kernel takes nothing is disconnected although comments are written on."""
    monkeypatch.setattr(module, "FLUSH_TIMEOUT", 0.1)
    monkeypatch.setattr(DaphneStream, "_unsent", lambda self: self._size)
    async with streaming(write_timeout=0.1, comment_interval=0.01) as stream:
        await stream.peer.until(lambda: stream.peer.lost)
        assert stream.transport.close_code == 3008
        assert stream.transport._size > 2 * len(b"f\r\n: keep-alive\n\n\r\n")


async def test_bytes_that_are_always_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads stays, even if something else is on its way at every look."""
    monkeypatch.setattr(DaphneStream, "_unsent", lambda self: 100)
    # Comments come more often than looks, so the client has read something at each look.
    async with streaming(write_timeout=0.1, comment_interval=0.01) as stream:
        for _ in range(30):
            await stream.read(b"keep-alive\n\n\r\n")
        assert stream.transport in stream.timeouts.writes._watched
        assert stream.peer.lost == 0


async def test_writing_is_no_reading() -> None:
    """What is written to a client that does not read does not change how much it has read."""
    async with streaming() as stream:
        stream.writer.transport.pause_reading()
        stream.fill()
        unread = stream.transport.unread
        for _ in range(100):
            stream.transport._write(b"x" * 20_000)
        # The kernel of the client may have taken some of the first bytes meanwhile.
        assert unread - 1_000_000 < stream.transport.unread <= unread


async def test_time_limit_of_daphne_is_not_for_streams() -> None:
    """Daphne's limit for a response does not end a stream."""
    async with streaming(http_timeout=1) as stream:
        server = stream.daphne.server
        server.connections[stream.transport]["connected"] -= 100
        server.timeout_checker()
        stream.transport.write([HELLO])
        await stream.read(TEXT)
        stream.transport.handle_exception(ZeroDivisionError())
        assert (await stream.read_rest()).endswith(b": 1011 internal error\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("endpoint", ["tcp:0:interface=127.0.0.1", "unix"])
async def test_access_log(endpoint: str, tmp_path: Any) -> None:
    """The access log has a line for the response when it is complete, with its size and time."""
    lines: list[Any] = []
    place = f"unix:{tmp_path}/socket" if endpoint == "unix" else endpoint
    log = {"action_logger": lambda *line: lines.append(line)}
    async with streaming(get("/events?topic=t"), endpoint=place, **log) as stream:
        stream.transport.close(Close.SHUTDOWN)
        await stream.ended.wait()
        ((protocol, action, details),) = lines
        assert (protocol, action) == ("http", "complete")
        assert (details["method"], details["status"]) == ("GET", 200)
        assert details["path"] == "/events?topic=t"
        assert details["size"] == stream.transport.traffic.sent
        assert 0 <= details["time_taken"] < TIME_LIMIT
        assert (details["client"] is None) == (endpoint == "unix")


async def test_client_that_left_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the client has left before the headers, the portable transport notices it."""
    monkeypatch.setattr(http_channel.Request, "is_lost", lambda self: True)
    async with streaming() as stream:
        assert isinstance(stream.transport, ASGIStream)


async def test_client_that_leaves_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the client leaves while the headers are written, the portable transport notices it."""
    answers = iter([False, True])
    monkeypatch.setattr(http_channel.Request, "is_lost", lambda self: next(answers))
    async with streaming() as stream:
        assert isinstance(stream.transport, ASGIStream)


async def test_descriptors_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream is refused if it would take one of the reserved file descriptors."""
    monkeypatch.setattr(http_channel.Channel, "is_short", lambda self: True)
    async with streaming() as stream:
        assert str(stream.refusal) == "the server has too many open connections"


async def test_http_is_not_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Where the requests are Daphne's own, the portable transport serves, with one warning."""
    async with streaming(limits=None) as stream:
        assert isinstance(stream.transport, ASGIStream)
        (warning,) = caplog.messages
        assert "HTTP is not bounded" in warning


async def test_missing_name(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a name of the socket is missing, the portable transport serves, with one warning."""

    def check(request: Any) -> None:
        raise foreign.NotAsExpected("a name")

    monkeypatch.setattr(foreign, "check_response", check)
    async with streaming() as stream:
        assert isinstance(stream.transport, ASGIStream)
        assert ["a name" in message for message in caplog.messages] == [True]
