"""The portable transport, before a server whose `send` waits, or fails."""

import asyncio
from typing import Any

from pubsub.core.frame import Frame

from pubsub.protocol.codes import Close
from pubsub.transport.asgi import ASGITransport


class Peer:
    """A server's `send`, which takes a message only when it is told to, and a listener."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.permits = asyncio.Semaphore(0)
        self.broken = False
        self.told: list[str] = []
        self.changed = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        """Take a message."""
        if self.broken:
            raise OSError("the connection is gone")
        if message["type"] == "websocket.send":
            await self.permits.acquire()
        self.sent.append(message)
        self.changed.set()

    def on_writable(self) -> None:
        """There is room."""
        self.told.append("writable")
        self.changed.set()

    def on_blocked(self) -> None:
        """There is none."""

    def on_lost(self) -> None:
        """It is gone."""
        self.told.append("lost")
        self.changed.set()


async def test_not_writable_while_send_waits() -> None:
    """The backlog is what `send` has not come back from."""
    peer = Peer()
    transport = ASGITransport(peer.send, peer)
    assert transport.writable
    assert not transport.write_nowait([Frame(b"a"), Frame(b"b")])
    assert (transport.writable, transport.backlog, transport.progress) == (True, 2, 0)
    await asyncio.sleep(0)
    assert (transport.writable, transport.backlog, transport.progress) == (False, 2, 0)
    peer.permits.release()
    await peer.changed.wait()
    await asyncio.sleep(0)
    assert (transport.writable, transport.backlog, transport.progress) == (False, 1, 1)
    peer.changed.clear()
    peer.permits.release()
    while not peer.told:
        peer.changed.clear()
        await peer.changed.wait()
    assert (transport.writable, transport.backlog, peer.told) == (True, 0, ["writable"])
    assert [message["text"] for message in peer.sent] == ["a", "b"]


async def test_takes_everything_until_send_has_been_tried() -> None:
    """Before that nobody knows whether the socket is full."""
    peer = Peer()
    for _ in range(1000):
        peer.permits.release()
    transport = ASGITransport(peer.send, peer)
    for number in range(1000):
        assert transport.writable
        transport.write_nowait([Frame(str(number).encode())])
    while not peer.told:
        peer.changed.clear()
        await peer.changed.wait()
    assert [message["text"] for message in peer.sent] == [str(number) for number in range(1000)]
    assert transport.write_nowait([Frame(b"more")]) is False


async def test_lost() -> None:
    """Whatever the server raises."""
    peer = Peer()
    peer.broken = True
    transport = ASGITransport(peer.send, peer)
    transport.write_nowait([Frame(b"a")])
    await peer.changed.wait()
    assert (peer.told, transport.closed, transport.writable) == (["lost"], True, False)


async def test_close_gives_up_what_waits() -> None:
    """A stuck `send` does not keep the close frame back."""
    peer = Peer()
    transport = ASGITransport(peer.send, peer)
    transport.write_nowait([Frame(b"a")])
    await asyncio.sleep(0)
    transport.close(Close.SLOW)
    await peer.changed.wait()
    assert peer.sent == [{"type": "websocket.close", "code": 3008, "reason": "slow"}]
    transport.resume_reading()


async def test_close_sends_what_waits_unless_the_client_is_slow() -> None:
    """A stop loses nothing that was acknowledged."""
    peer = Peer()
    for _ in range(2):
        peer.permits.release()
    transport = ASGITransport(peer.send, peer)
    transport.write_nowait([Frame(b"a"), Frame(b"b")])
    transport.close(Close.SHUTDOWN)
    while not transport.closed:
        await asyncio.wait_for(peer.changed.wait(), 10)
        peer.changed.clear()
        await asyncio.sleep(0)
    assert [message["type"] for message in peer.sent] == [
        *("websocket.send", "websocket.send", "websocket.close")
    ]


async def test_close_of_a_lost_connection() -> None:
    """It is noticed like any other write."""
    peer = Peer()
    peer.broken = True
    transport = ASGITransport(peer.send, peer)
    transport.close(Close.SLOW)
    await peer.changed.wait()
    assert peer.told == ["lost"]
