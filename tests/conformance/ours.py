"""An echo on the project's own transport: all that this suite knows about its interface."""

import asyncio
from typing import Any

from pubsub.core.frame import Frame
from pubsub.transport.daphne import open_transport


class _BinaryFrame:
    """A frame of the kind that the chat room, which only speaks text, never sends."""

    def __init__(self, payload: bytes) -> None:
        length = len(payload)
        if length < 126:
            size = bytes((length,))
        elif length < 1 << 16:
            size = b"\x7e" + length.to_bytes(2, "big")
        else:
            size = b"\x7f" + length.to_bytes(8, "big")
        self.wire = b"\x82" + size + payload


class Echo:
    """Sends every message back, and reads no further while the peer does not read."""

    def __init__(self, send: Any) -> None:
        transport = open_transport(send, self)
        if transport is None:
            raise RuntimeError("the transport for Daphne is not in use")
        self._transport = transport

    async def run(self, receive: Any) -> None:
        """Serve the connection until it has ended."""
        await self._transport.read(receive)

    def on_message(self, message: str | bytes) -> bool:
        """Write the message, if the socket takes it."""
        if not self._transport.writable:
            return False
        text = isinstance(message, str)
        frame: Any = Frame(message.encode()) if text else _BinaryFrame(message)
        self._transport.write_nowait([frame])
        return True

    def on_writable(self) -> None:
        """Go on with the message that was refused."""
        asyncio.get_running_loop().call_soon(self._transport.resume_reading)

    def on_blocked(self) -> None:
        """Wait, for as long as it takes."""

    def on_lost(self) -> None:
        """Keep nothing, so there is nothing to free."""
