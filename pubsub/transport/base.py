"""The seam between a connection and the server that carries it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from pubsub.core.publication import Frame
from pubsub.websocket.engine import TooLarge

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

Message = str | bytes | TooLarge
"""A text message, a binary one, or what is left of one over the limit."""


class Reason(Protocol):
    """Why a connection is closed: one of `pubsub.protocol.codes.Close`, or one's own."""

    @property
    def code(self) -> int:
        """The status code of the close frame (RFC 6455 §7.4)."""

    @property
    def reason(self) -> str:
        """The reason in the close frame."""


class Other:
    """Input that is no message: it costs time to read, and nothing is to be done."""


OTHER = Other()


class Peer(Protocol):
    """The connection, as its transport calls it, always in the event loop."""

    def on_readable(self) -> None:
        """There is input: call `Transport.next_message` until it returns ``None``."""

    def on_writable(self) -> None:
        """There is room for frames again, or whatever waits has to leave now."""

    def on_lost(self) -> None:
        """The connection is lost or closing: what is written from now on is ignored."""


class Transport(Protocol):
    """One accepted WebSocket.

    Frames leave in the order in which they were written. Bytes that the peer does not read are
    held up in the socket first and in the transport next, up to a bound of its own; then it is
    not `writable`, and it calls `Peer.on_writable` once it is. A peer that takes nothing of what
    waits for the configured ``write_timeout`` is disconnected with 3008 (`Close.SLOW`).
    """

    writable: bool
    """Whether `write` may be called."""

    close_code: int
    """The status code of the first close frame, whoever sent it; 1006 while there is none."""

    def next_message(self) -> Message | Other | None:
        """Return the next message, or ``None`` if there is no input left."""

    def write(self, frames: Sequence[Frame]) -> None:
        """Write at least one frame, without waiting."""

    def pause_reading(self) -> None:
        """Take no more input from the socket; what was taken already may still be read."""

    def resume_reading(self) -> None:
        """Take input from the socket again."""

    def close(self, reason: Reason) -> None:
        """Start the closing handshake, behind what was written before; needs no answer."""

    async def serve(self, peer: Peer) -> None:
        """Pass everything on to ``peer``; return when the socket is closed."""

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
