"""The transport for any ASGI server: it relies on the backpressure of the server's own ``send``."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.base import Message, Peer, Reason, Receive, Send
from pubsub.transport.timeouts import Timeouts


def payload_of(message: dict[str, Any]) -> str | bytes:
    """Return the payload of an ASGI ``websocket.receive``: of its two keys one may be missing."""
    text: str | None = message.get("text")
    return (message.get("bytes") or b"") if text is None else text


class ASGITransport:
    """Sends frames one by one and, while ``send`` waits, is not writable.

    Whether the socket is full shows only in ``send``, which is called in the next tick; what is
    written until then is taken in any case. How much a peer that does not read may cost is up to
    the server: uvicorn waits from 64 KiB on; a server whose ``send`` never waits gives no bound.
    Pings and limits of what comes in are the server's, too.
    """

    def __init__(self, receive: Receive, send: Send, timeouts: Timeouts) -> None:
        self.writable = True
        self.close_code = 1006
        self._receive = receive
        self._send = send
        self._timeouts = timeouts
        self._peer: Peer | None = None
        self._message: str | bytes | None = None
        self._frames: deque[Frame] = deque()
        self._sent = 0
        self._readable = asyncio.Event()
        self._readable.set()
        self._closed = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None  # the event loop itself keeps no task alive

    async def serve(self, peer: Peer) -> None:
        """Pass the peer's messages on, one at a time, until the connection has ended."""
        self._peer = peer
        try:
            while (message := await self._receive())["type"] != "websocket.disconnect":
                self._message = payload_of(message)
                peer.on_readable()
                # A server with flow control stops reading meanwhile.
                await self._readable.wait()
            if self.close_code == 1006:
                self.close_code = message.get("code", 1006)
        finally:
            self._lose()

    def next_message(self) -> Message | None:
        """Return the message that has come, once."""
        message, self._message = self._message, None
        return message

    def pause_reading(self) -> None:
        """Ask the server for no further message."""
        self._readable.clear()

    def resume_reading(self) -> None:
        """Ask the server for messages again."""
        self._readable.set()

    def write(self, frames: Sequence[Frame]) -> None:
        """Have the frames sent."""
        self._frames.extend(frames)
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_all())
            self._timeouts.writes.watch(self)

    async def _send_all(self) -> None:
        frames = self._frames
        try:
            while frames:
                self.writable = False  # which is seen by others only if `send` waits
                await self._send({"type": "websocket.send", "text": frames[0].text})
                self.writable = self._closing is None
                self._sent += 1
                frames.popleft()
        except Exception:
            # Servers differ in what they raise for a connection that is lost (the ASGI
            # specification asks for an OSError); whatever it is, nothing more can be sent.
            self._lose()
        else:
            self._sending = None
            if self._peer is not None and self.writable:
                self._peer.on_writable()

    def close(self, reason: Reason) -> None:
        """Send what waits, unless the client is slow, and close."""
        self.writable = False
        self.close_code = reason.code
        sending = self._sending
        if reason is Close.SLOW and sending is not None:
            self._frames.clear()
            sending.cancel()
        self._closing = asyncio.get_running_loop().create_task(self._close(reason, sending))

    async def _close(self, reason: Reason, sending: asyncio.Task[None] | None) -> None:
        if sending is not None:
            await asyncio.wait([sending])
        try:
            await self._send(
                {"type": "websocket.close", "code": reason.code, "reason": reason.reason}
            )
        except Exception:
            self._lose()
        self._closed.set()

    async def wait_closed(self) -> None:
        """Wait until the server has taken the close frame, or the connection is lost."""
        await self._closed.wait()

    def _lose(self) -> None:
        self.writable = False
        self._frames.clear()
        self._timeouts.writes.forget(self)
        self._closed.set()
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.on_lost()

    # What `pubsub.transport.timeouts` asks.

    @property
    def unread(self) -> int:
        """It shrinks with each frame that the server has taken."""
        return -self._sent

    @property
    def patience(self) -> float:
        """Seconds without progress that the peer is granted."""
        return self._timeouts.write_timeout

    @property
    def blocked(self) -> bool:
        """Whether ``send`` has frames that it has not come back from."""
        return bool(self._frames) and self._closing is None

    def expire(self) -> None:
        """Disconnect a client that does not read."""
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.on_lost()
        self.close(Close.SLOW)
