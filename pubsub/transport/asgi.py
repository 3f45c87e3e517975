"""The transport for any ASGI server: it relies on the backpressure of the server's own ``send``."""

import asyncio
from collections import deque
from collections.abc import Sequence

from pubsub.core.frame import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.base import Listener, Receive, Send, payload_of


class ASGITransport:
    """Sends frames one by one and, while ``send`` waits, is not writable.

    Whether the socket is full shows only in ``send``, which is called in the next tick; what is
    written until then is taken in any case. How much a peer that does not read may cost is up to
    the server: uvicorn waits from 64 KiB on; a server whose ``send`` never waits gives no bound.
    """

    def __init__(self, send: Send, listener: Listener) -> None:
        self.writable = True
        self.progress = 0
        self.closed = False
        self._send = send
        self._listener = listener
        self._frames: deque[Frame] = deque()
        self._resumed = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None  # the event loop itself keeps no task alive

    @property
    def backlog(self) -> int:
        """Frames that ``send`` has not come back from, or was not called with."""
        return len(self._frames)

    def write_nowait(self, frames: Sequence[Frame]) -> bool:
        """Have the frames sent."""
        self._frames.extend(frames)
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send_all())
        return False

    async def _send_all(self) -> None:
        frames = self._frames
        try:
            while frames:
                self.writable = False  # which is seen by others only if `send` waits
                await self._send({"type": "websocket.send", "text": frames[0].text})
                self.writable = True
                self.progress += 1
                frames.popleft()
        except Exception:
            # Servers differ in what they raise for a connection that is gone (the ASGI
            # specification asks for an OSError); whatever it is, nothing more can be sent.
            self._lose()
        else:
            self._sending = None
            self._listener.on_writable()

    async def read(self, receive: Receive) -> None:
        """Pass on the peer's messages; a server with flow control stops reading meanwhile."""
        on_message = self._listener.on_message
        while (message := await receive())["type"] != "websocket.disconnect":
            payload = payload_of(message)
            while not on_message(payload):
                self._resumed.clear()
                await self._resumed.wait()

    def resume_reading(self) -> None:
        """Offer again the message that the listener has refused."""
        self._resumed.set()

    def close(self, why: Close) -> None:
        """Send what waits, unless the client is slow, and close."""
        self.writable = False
        sending = self._sending
        if why is Close.SLOW and sending is not None:
            self._frames.clear()
            sending.cancel()
        self._closing = asyncio.get_running_loop().create_task(self._close(why, sending))

    async def _close(self, why: Close, sending: asyncio.Task[None] | None) -> None:
        if sending is not None:
            await asyncio.wait([sending])
        try:
            await self._send({"type": "websocket.close", "code": why.code, "reason": why.reason})
        except Exception:
            self._lose()
        self.closed = True

    def _lose(self) -> None:
        self.closed = True
        self.writable = False
        self._frames.clear()
        self._listener.on_lost()
