"""The portable transport, with a server whose `send` waits or fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.asgi import ASGITransport, payload_of
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic


class Server:
    """A peer, and an ASGI server that accepts a message only when a test permits it."""

    def __init__(self, write_timeout: float = 30) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.permits = asyncio.Semaphore(0)
        self.broken = False
        self.read: list[Any] = []
        self.events: list[str] = []
        self.changed = asyncio.Event()
        timeouts = Timeouts(write_timeout=write_timeout, ping_interval=20)
        self.transport = ASGITransport(self.incoming.get, self.send, timeouts, Traffic())

    def receive(self, text: str) -> None:
        """Simulate the arrival of a message."""
        self.incoming.put_nowait({"type": "websocket.receive", "text": text})

    async def send(self, message: dict[str, Any]) -> None:
        """Accept a message."""
        if self.broken:
            raise OSError("the connection is gone")
        if message["type"] == "websocket.send":
            await self.permits.acquire()
        self.sent.append(message)
        self.changed.set()

    def permit(self, count: int) -> None:
        """Permit this many more text messages."""
        for _ in range(count):
            self.permits.release()

    def on_readable(self) -> None:
        """Read all messages."""
        while (message := self.transport.next_message()) is not None:
            self.read.append(message)
        self.changed.set()

    def on_writable(self) -> None:
        """Record the call."""
        self.events.append("writable")
        self.changed.set()

    def on_lost(self) -> None:
        """Record the call."""
        self.events.append("lost")
        self.changed.set()

    @property
    def texts(self) -> list[str]:
        """The texts sent so far."""
        return [each["text"] for each in self.sent if each["type"] == "websocket.send"]

    async def until(self, condition: Any) -> None:
        """Wait for a condition; the time limit only ends a test that has failed."""
        async with asyncio.timeout(60):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[asyncio.Task[None]]:
    """Let the transport serve its peer."""
    task = asyncio.create_task(server.transport.serve(server))
    await asyncio.sleep(0)
    yield task
    task.cancel()
    await asyncio.wait([task])


def frames(*texts: str) -> list[Frame]:
    """Return these texts as frames."""
    return [Frame(text.encode()) for text in texts]


# --- Reading ---


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ({"text": "a"}, "a"),
        ({"text": ""}, ""),
        ({"bytes": b"a"}, b"a"),
        ({"text": None, "bytes": b"a"}, b"a"),
        ({"text": "a", "bytes": None}, "a"),
        ({"text": None, "bytes": None}, b""),
    ],
)
def test_payload(message: dict[str, Any], payload: str | bytes) -> None:
    """Either key of a message may be missing or ``None``."""
    assert payload_of(message) == payload


async def test_messages_are_passed_on() -> None:
    """Messages arrive in order, and the end is reported with its close code."""
    server = Server()
    async with serving(server) as task:
        server.receive("a")
        server.receive("b")
        await server.until(lambda: server.read == ["a", "b"])
        server.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await task
        assert server.events == ["lost"]
        assert server.transport.close_code == 1001
        await server.transport.wait_closed()


async def test_bytes_are_counted() -> None:
    """The bytes of the payloads count in both directions, those that were sent when they are."""
    server = Server()
    async with serving(server):
        server.receive("aé")
        server.receive("bc")
        server.incoming.put_nowait({"type": "websocket.receive", "bytes": b"def"})
        await server.until(lambda: len(server.read) == 3)
        assert server.transport.traffic.received == 3 + 2 + 3
        server.transport.write([Frame("é".encode()), Frame(b"x"), Frame(b"x")])
        server.permit(2)
        await server.until(lambda: len(server.sent) == 2)
        assert server.transport.traffic.sent == 2 + 1


async def test_disconnection_without_a_code() -> None:
    """A disconnection without a close code counts as abnormal (1006)."""
    server = Server()
    async with serving(server) as task:
        server.incoming.put_nowait({"type": "websocket.disconnect"})
        await task
        assert server.transport.close_code == 1006


async def test_server_is_not_asked_for_messages_while_reading_is_paused() -> None:
    """While reading is paused, no message is received beyond the one already requested."""
    server = Server()
    async with serving(server):
        server.transport.pause_reading()
        server.receive("a")
        server.receive("b")
        await server.until(lambda: server.read)
        for _ in range(5):
            await asyncio.sleep(0)
        assert (server.read, server.incoming.qsize()) == (["a"], 1)
        server.transport.resume_reading()
        await server.until(lambda: server.read == ["a", "b"])


async def test_cancelled_task_loses_the_connection() -> None:
    """Cancelling the task notifies the peer that the connection is lost."""
    server = Server()
    async with serving(server) as task:
        task.cancel()
        await asyncio.wait([task])
        assert server.events == ["lost"]
        assert not server.transport.writable


# --- Writing ---


async def test_not_writable_while_send_waits() -> None:
    """The transport is writable again only after `send` has accepted every frame."""
    server = Server()
    transport = server.transport
    async with serving(server):
        assert transport.writable
        transport.write(frames("a", "b"))
        assert (transport.writable, transport.blocked) == (True, True)
        await asyncio.sleep(0)
        assert (transport.writable, transport.blocked, server.events) == (False, True, [])
        unread = transport.unread
        server.permit(1)
        await server.until(lambda: server.texts == ["a"])
        await asyncio.sleep(0)
        assert (transport.writable, transport.unread < unread) == (False, True)
        server.permit(1)
        await server.until(lambda: server.events)
        assert (transport.writable, transport.blocked) == (True, False)
        assert (server.texts, server.events) == (["a", "b"], ["writable"])


async def test_writable_until_send_has_been_tried() -> None:
    """The transport is writable until `send` has been tried, since only that shows backpressure."""
    server = Server()
    server.permit(1000)
    async with serving(server):
        for number in range(1000):
            assert server.transport.writable
            server.transport.write(frames(str(number)))
        await server.until(lambda: server.events)
        assert server.texts == [str(number) for number in range(1000)]


async def test_nobody_is_notified_before_the_connection_is_served() -> None:
    """Frames may be written before the transport is served; no peer is notified then."""
    server = Server()
    server.permit(1)
    server.transport.write(frames("a"))
    await server.until(lambda: server.texts)
    await asyncio.sleep(0)
    assert server.events == []
    assert server.transport.writable


async def test_send_that_fails_loses_the_connection() -> None:
    """A failing `send` notifies the peer of the loss once, and nothing more is sent."""
    server = Server()
    async with serving(server) as task:
        server.broken = True
        server.transport.write(frames("a"))
        await server.until(lambda: server.events)
        assert (server.events, server.transport.writable) == (["lost"], False)
        await server.transport.wait_closed()
        server.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await task
        assert server.events == ["lost"]


async def test_send_that_fails_while_reading_is_paused() -> None:
    """The end of a lost connection is noticed although reading was paused."""
    server = Server()
    async with serving(server) as task:
        server.transport.pause_reading()
        server.receive("a")
        await server.until(lambda: server.read)
        server.broken = True
        server.transport.write(frames("a"))
        await server.until(lambda: server.events)
        server.receive("late")
        server.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await asyncio.wait_for(task, 20)
        assert server.read == ["a"]


# --- Closing ---


async def test_closing_a_slow_client_discards_pending_frames() -> None:
    """Closing a slow client discards pending frames, so a stuck `send` delays nothing."""
    server = Server()
    async with serving(server):
        server.transport.write(frames("a"))
        await asyncio.sleep(0)
        server.transport.close(Close.SLOW)
        await server.transport.wait_closed()
        assert server.sent == [{"type": "websocket.close", "code": 3008, "reason": "slow"}]
        assert server.transport.close_code == 3008


async def test_closing_sends_pending_frames_unless_the_client_is_slow() -> None:
    """Closing for another reason sends the pending frames first."""
    server = Server()
    async with serving(server):
        server.transport.write(frames("a", "b"))
        server.transport.close(Close.SHUTDOWN)
        server.permit(2)
        await server.transport.wait_closed()
        assert server.texts == ["a", "b"]
        assert server.sent[-1] == {"type": "websocket.close", "code": 3001, "reason": "shutdown"}
        assert server.events == []
        assert not server.transport.writable


async def test_last_frames_before_the_close_frame() -> None:
    """Frames that are given with the reason are sent before the close frame."""
    server = Server()
    async with serving(server):
        server.transport.close(Close.INVALID_TOKEN, frames("why"))
        server.permit(1)
        await server.transport.wait_closed()
        assert server.texts == ["why"]
        assert server.sent[-1]["code"] == 3500


async def test_messages_after_the_close_frame_are_ignored() -> None:
    """Messages that were on their way when the connection was closed are not read."""
    server = Server()
    async with serving(server) as task:
        server.transport.close(Close.STALE)
        server.receive("late")
        server.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await task
        assert server.read == []


async def test_closing_while_reading_is_paused() -> None:
    """The end of a client is noticed even if reading was paused when the server closed."""
    server = Server()
    async with serving(server) as task:
        server.transport.pause_reading()
        server.receive("a")
        await server.until(lambda: server.read)
        server.transport.close(Close.FORCE_DISCONNECT)
        server.transport.pause_reading()  # has no effect any more
        server.receive("late")
        server.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(task, 20)
        assert server.read == ["a"]


class Unreading(Server):
    """A server that takes notice of messages, and does not read them."""

    def on_readable(self) -> None:
        """Read nothing."""
        self.changed.set()


async def test_message_that_was_not_read_before_the_end() -> None:
    """A message that has arrived, but was not read when the server closed, is discarded."""
    server = Unreading()
    async with serving(server):
        server.receive("a")
        await server.until(lambda: server.incoming.empty())
        server.transport.close(Close.FORCE_DISCONNECT)
        assert server.transport.next_message() is None


async def test_code_of_the_first_close_frame_is_kept() -> None:
    """The close code is the one that was sent first, whatever the client answers."""
    server = Server()
    async with serving(server) as task:
        server.transport.close(Close.SLOW)
        await server.transport.wait_closed()
        server.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await task
        assert server.transport.close_code == 3008


async def test_close_of_a_lost_connection() -> None:
    """A `send` that fails while closing counts as a lost connection."""
    server = Server()
    async with serving(server):
        server.broken = True
        server.transport.close(Close.SLOW)
        await server.transport.wait_closed()
        assert server.events == ["lost"]


# --- The write timeout ---


async def test_client_that_reads_nothing_is_disconnected() -> None:
    """A client that reads nothing within the write timeout is closed with 3008 at once."""
    server = Server(write_timeout=0.01)
    async with serving(server):
        server.transport.write(frames("a"))
        await server.transport.wait_closed()
        assert server.events == ["lost"]
        assert server.sent == [{"type": "websocket.close", "code": 3008, "reason": "slow"}]


async def test_client_that_reads_nothing_while_it_is_closed() -> None:
    """The close frame waits for the frames before it, but not longer than the write timeout."""
    server = Server(write_timeout=0.01)
    async with serving(server):
        server.transport.write(frames("a"))
        await asyncio.sleep(0)
        server.transport.close(Close.FORCE_DISCONNECT)
        await asyncio.wait_for(server.transport.wait_closed(), 20)
        assert server.sent == [
            {"type": "websocket.close", "code": 3503, "reason": "force disconnect"}
        ]
        assert server.transport.close_code == 3503


async def test_transport_that_is_not_served_yet_expires_as_well() -> None:
    """The write timeout also applies before the transport is served."""
    server = Server(write_timeout=0.01)
    server.transport.write(frames("a"))
    await server.transport.wait_closed()
    assert server.events == []
    assert server.transport.close_code == 3008
