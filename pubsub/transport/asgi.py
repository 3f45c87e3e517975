"""The transport for any ASGI server: it relies on the backpressure of the server's own ``send``."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.base import Message, Peer, Reason, Receive, Send
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic


def payload_of(message: dict[str, Any]) -> str | bytes:
    """Return the payload of an ASGI ``websocket.receive``, which has one of two keys, or both."""
    text: str | None = message.get("text")
    return (message.get("bytes") or b"") if text is None else text


def _size(payload: str | bytes) -> int:
    # Only a text with other characters has to be encoded once more to know its size.
    if isinstance(payload, bytes) or payload.isascii():
        return len(payload)
    return len(payload.encode())


class ASGITransport:
    """Sends frames one by one, and is not writable while ``send`` waits.

    Only ``send``, which runs in the next tick, shows whether the socket is full; all frames written
    before that are accepted. The server decides how much memory a peer that does not read takes:
    uvicorn's ``send`` waits from 64 KiB on, and if a server's ``send`` never waits, there is no
    bound. Pings and the limits for incoming messages are left to the server, too. Only payloads are
    counted as bytes, because the server makes the frames.
    """

    kind = "websocket"

    def __init__(self, receive: Receive, send: Send, timeouts: Timeouts, traffic: Traffic) -> None:
        self.writable = True
        self.close_code = 1006
        self.traffic = traffic
        self.close_reason: str | None = None
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
        self._closing: asyncio.Task[None] | None = None  # the loop keeps only weak references

    async def serve(self, peer: Peer) -> None:
        """Pass the messages of the client to ``peer``, one at a time, until the connection ends."""
        self._peer = peer
        try:
            while (message := await self._receive())["type"] != "websocket.disconnect":
                if self._has_ended:
                    continue
                self._message = payload = payload_of(message)
                self.traffic.received += _size(payload)
                peer.on_readable()
                # A server with flow control stops reading meanwhile.
                await self._readable.wait()
            if self.close_code == 1006:
                self.close_code = message.get("code", 1006)
        finally:
            self._lose()

    def next_message(self) -> Message | None:
        """Return the message that has arrived, once."""
        message, self._message = self._message, None
        return message

    def pause_reading(self) -> None:
        """Ask the server for no more messages."""
        if not self._has_ended:
            self._readable.clear()

    def resume_reading(self) -> None:
        """Ask the server for messages again."""
        self._readable.set()

    def write(self, frames: Sequence[Frame]) -> None:
        """Queue the frames to be sent."""
        self._frames.extend(frames)
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_all())
            self._timeouts.writes.watch(self)

    async def _send_all(self) -> None:
        frames = self._frames
        try:
            while frames:
                self.writable = False  # others see this only if `send` waits
                message, size = self._encode(frames[0])
                await self._send(message)
                self.writable = self._closing is None
                self._sent += 1
                self.traffic.sent += size
                frames.popleft()
        except Exception:
            # Servers raise different exceptions for a lost connection (the ASGI specification asks
            # for an OSError). Whatever it is, nothing more can be sent.
            self._lose()
        else:
            self._sending = None
            if self._peer is not None and self.writable:
                self._peer.on_writable()

    def _encode(self, frame: Frame) -> tuple[dict[str, Any], int]:
        """Return the ASGI message for a frame, and the bytes that it counts for."""
        return {"type": "websocket.send", "text": frame.text}, frame.size

    def _last_message(self, reason: Reason) -> dict[str, Any]:
        return {"type": "websocket.close", "code": reason.code, "reason": reason.reason}

    def close(self, reason: Reason, last: Sequence[Frame] = ()) -> None:
        """Close after sending what is queued, or at once if the client is a slow consumer."""
        if last:
            self.write(last)
        self.writable = False
        self.close_code, self.close_reason = reason.code, reason.reason
        if reason is Close.SLOW:
            self._discard()
        self._closing = asyncio.get_running_loop().create_task(self._close(reason, self._sending))
        self._read_to_the_end()

    def _discard(self) -> None:
        self._frames.clear()
        if self._sending is not None:
            self._sending.cancel()

    async def _close(self, reason: Reason, sending: asyncio.Task[None] | None) -> None:
        if sending is not None:
            await asyncio.wait([sending])
        try:
            await self._send(self._last_message(reason))
        except Exception:
            self._lose()
        self._closed.set()

    @property
    def _has_ended(self) -> bool:
        return self._closing is not None or self._closed.is_set()

    def _read_to_the_end(self) -> None:
        """Discard what the client sends, even if reading is paused: its end has to be noticed."""
        self._message = None
        self._readable.set()

    async def wait_closed(self) -> None:
        """Wait until the server has accepted the close frame or the connection is lost."""
        await self._closed.wait()

    def _lose(self) -> None:
        self.writable = False
        self._frames.clear()
        self._timeouts.writes.forget(self)
        self._closed.set()
        self._read_to_the_end()
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.on_lost()

    # For `pubsub.transport.timeouts`.

    @property
    def unread(self) -> int:
        """A number that decreases with each frame that the server has accepted."""
        return -self._sent

    @property
    def patience(self) -> float:
        """Seconds that the peer may go without progress."""
        return self._timeouts.write_timeout

    @property
    def blocked(self) -> bool:
        """Whether there are frames that the server has not accepted yet."""
        return bool(self._frames)

    def expire(self) -> None:
        """Disconnect a client that does not read, with what is queued unsent."""
        if self._closing is not None:
            self._discard()
            return
        peer, self._peer = self._peer, None
        self.close(Close.SLOW)
        if peer is not None:
            peer.on_lost()
