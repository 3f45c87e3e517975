"""The transport for any ASGI server: it relies on the backpressure of the server's own ``send``."""

import asyncio
from collections.abc import Sequence

from pubsub.core.frame import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.base import Listener, Send


class ASGITransport:
    """Sends frames one by one and, while ``send`` waits, is not writable.

    How much a peer that does not read may cost is up to the server: uvicorn waits from 64 KiB on;
    a server whose ``send`` never waits gives no bound at all.
    """

    def __init__(self, send: Send, listener: Listener) -> None:
        self.writable = True
        self.progress = 0
        self.closed = False
        self._send = send
        self._listener = listener
        self._written = 0
        self._sending: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        """Frames that ``send`` has not come back from."""
        return self._written - self.progress

    def write_nowait(self, frames: Sequence[Frame]) -> bool:
        """Start to send the frames."""
        self._written += len(frames)
        self.writable = False
        self._sending = asyncio.get_running_loop().create_task(self._send_all(frames))
        return False

    async def _send_all(self, frames: Sequence[Frame]) -> None:
        try:
            for frame in frames:
                await self._send({"type": "websocket.send", "text": frame.text})
                self.progress += 1
        except Exception:
            # Servers differ in what they raise for a connection that is gone (the ASGI
            # specification asks for an OSError); whatever it is, nothing more can be sent.
            self.closed = True
            self._listener.on_lost()
            return
        self.writable = True
        self._listener.on_writable()

    def pause_reading(self) -> None:
        """Do nothing: a server with flow control stops by itself when nobody calls ``receive``."""

    def resume_reading(self) -> None:
        """Do nothing, for the same reason."""

    def close(self, why: Close) -> None:
        """Give up what has not been sent, and close."""
        self.writable = False
        if self._sending is not None:
            self._sending.cancel()
        self._sending = asyncio.get_running_loop().create_task(self._close(why))

    async def _close(self, why: Close) -> None:
        try:
            await self._send({"type": "websocket.close", "code": why.code, "reason": why.reason})
        except Exception:
            self.closed = True
            self._listener.on_lost()
