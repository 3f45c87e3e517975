"""An echo on the project's own transport: all that this suite knows about its interface."""

import asyncio
from collections.abc import Callable
from typing import Any

from pubsub.core.configuration import Configuration
from pubsub.core.counters import TopicCounters
from pubsub.core.publication import Frame
from pubsub.transport import accept
from pubsub.transport.base import Transport
from pubsub.transport.daphne.transport import DaphneTransport
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic

MAX_MESSAGE_BYTES = 16 << 20
"""The longest message that the suite sends (section 9)."""

CONFIG = Configuration(max_message_bytes=MAX_MESSAGE_BYTES, compression=True)
TIMEOUTS = Timeouts(write_timeout=CONFIG.write_timeout, ping_interval=CONFIG.ping_interval)
TRAFFIC = Traffic()


ECHOED = TopicCounters("echo")
"""Marks texts as events, because no other frame is compressed."""


def binary_frame(payload: bytes) -> bytes:
    """Return a frame of the kind that the chat room, which speaks text alone, never sends."""
    length = len(payload)
    if length < 126:
        return bytes((0x82, length)) + payload
    if length < 1 << 16:
        return b"\x82\x7e" + length.to_bytes(2, "big") + payload
    return b"\x82\x7f" + length.to_bytes(8, "big") + payload


class Echo:
    """Sends every message back, and reads no further while the peer does not read."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._paused = False

    def on_readable(self) -> None:
        """Send back what there is, for as long as the socket takes it."""
        transport = self._transport
        while transport.writable:
            message = transport.next_message()
            if message is None:
                return
            if isinstance(message, str):
                transport.write([Frame(message.encode(), ECHOED)])
            elif isinstance(message, bytes):
                transport._write(binary_frame(message))
        if not self._paused:
            self._paused = True
            transport.pause_reading()

    def on_writable(self) -> None:
        """Go on, but not at once: the transport may be in the middle of a message."""
        if self._paused:
            asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if self._paused and self._transport.writable:
            self._paused = False
            self._transport.resume_reading()
            self.on_readable()

    def on_end(self, end: Callable[[], None]) -> None:
        """Close at once: everything is answered."""
        end()

    def on_lost(self) -> None:
        """Nothing is kept, so there is nothing to free."""


async def serve(scope: Any, receive: Any, send: Any) -> None:
    """Accept a WebSocket and echo what it sends, until it is closed."""
    transport = await accept(
        scope, receive, send, subprotocol=None, config=CONFIG, timeouts=TIMEOUTS, traffic=TRAFFIC
    )
    if not isinstance(transport, DaphneTransport):
        raise RuntimeError("the transport for Daphne is not in use")
    await transport.serve(Echo(transport))
