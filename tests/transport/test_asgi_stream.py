"""The portable transport for streams, with a server whose `send` waits or fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.transport import open_stream
from pubsub.transport.asgi_stream import ASGIStream
from pubsub.transport.sse import Bookmark
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic

SCOPE = {"type": "http"}
HELLO = Frame(b'{"type":"info"}')
TEXT = b'event: info\ndata: {"type":"info"}\n\n'


class Server:
    """A peer, and an ASGI server that accepts text only while a test permits it."""

    def __init__(self, comment_interval: float = 60) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.incoming.put_nowait({"type": "http.request"})
        self.sent: list[dict[str, Any]] = []
        self.accepting = asyncio.Event()
        self.accepting.set()
        self.events: list[str] = []
        self.changed = asyncio.Event()
        self.timeouts = Timeouts(
            write_timeout=0.1, ping_interval=20, comment_interval=comment_interval
        )

    async def send(self, message: dict[str, Any]) -> None:
        """Accept a message."""
        await self.accepting.wait()
        self.sent.append(message)
        self.changed.set()

    def on_readable(self) -> None:
        """Never called: the client sends nothing."""
        raise NotImplementedError

    def on_writable(self) -> None:
        """Record the call."""
        self.events.append("writable")

    def on_lost(self) -> None:
        """Record the call."""
        self.events.append("lost")
        self.changed.set()

    async def until(self, condition: Any) -> None:
        """Wait for a condition; the time limit only ends a test that has failed."""
        async with asyncio.timeout(10):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def streaming(server: Server) -> AsyncIterator[tuple[Any, asyncio.Task[None]]]:
    """Open a stream and let its transport serve the peer."""
    transport = await open_stream(
        SCOPE,
        server.incoming.get,
        server.send,
        headers=[(b"a", b"b")],
        bookmark=Bookmark({}),
        timeouts=server.timeouts,
        traffic=Traffic(),
    )
    assert isinstance(transport, ASGIStream)
    task = asyncio.create_task(transport.serve(server))
    await asyncio.sleep(0)
    yield transport, task
    task.cancel()
    await asyncio.wait([task])


async def test_response() -> None:
    """The headers come first, then the events, and at the end a comment that says why."""
    server = Server()
    async with streaming(server) as (transport, task):
        transport.write([HELLO, HELLO])
        transport.close(Close.SHUTDOWN, [HELLO])
        await task
    start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
    body = {"type": "http.response.body", "more_body": True}
    end = {**body, "body": b": 3001 shutdown\n\n", "more_body": False}
    assert server.sent == [start, *([{**body, "body": TEXT}] * 3), end]
    assert transport.traffic.sent == 3 * len(TEXT)
    assert server.events == ["writable", "lost"]
    assert (transport.close_code, transport.close_reason) == (3001, "shutdown")


async def test_server_that_stops() -> None:
    """A server that cancels a stream gets the end of its response, and no exception."""
    server = Server()
    async with streaming(server) as (transport, task):
        task.cancel()
        await task
    end = {"type": "http.response.body", "body": b": 3001 shutdown\n\n", "more_body": False}
    assert server.sent[1:] == [end]
    assert server.events == ["writable", "lost"]
    assert (transport.close_code, transport.close_reason) == (3001, "shutdown")


async def test_server_that_stops_while_the_client_does_not_read() -> None:
    """A server that cancels a stream does not wait for a client that does not read."""
    server = Server()
    async with streaming(server) as (transport, task):
        server.accepting.clear()
        transport.write([HELLO])
        await asyncio.sleep(0)
        task.cancel()
        await task
        assert len(server.sent) == 1
        assert server.events == ["writable", "lost"]
        server.accepting.set()


async def test_client_that_leaves() -> None:
    """A client that leaves ends the stream, whatever is waiting for it."""
    server = Server()
    async with streaming(server) as (transport, task):
        server.accepting.clear()
        transport.write([HELLO])
        server.incoming.put_nowait({"type": "http.disconnect"})
        await task
        assert server.events == ["writable", "lost"]
        assert not transport.writable
        assert transport.close_code == 1006
        server.accepting.set()


async def test_slow_client() -> None:
    """A client for which `send` waits too long is disconnected as slow."""
    server = Server()
    async with streaming(server) as (transport, _):
        server.accepting.clear()
        transport.write([HELLO])
        await server.until(lambda: "lost" in server.events)
        assert transport.close_code == 3008


async def test_comments() -> None:
    """A silent stream gets comments, and one whose client does not read gets none."""
    server = Server(comment_interval=0.01)
    async with streaming(server) as (transport, _):
        await server.until(lambda: len(server.sent) >= 3)
        assert {message["body"] for message in server.sent[1:]} == {b": keep-alive\n\n"}
        server.accepting.clear()
        transport.writable = False
        count = len(server.sent)
        transport.comment()
        server.accepting.set()
        await asyncio.sleep(0)
        assert len(server.sent) == count
