"""The interface between a connection and the server that carries it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pubsub import fairness
from pubsub.core.publication import Frame
from pubsub.websocket.engine import TooLarge

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]

Message = str | bytes | TooLarge
"""A text message, a binary one, or what was kept of one over the limit."""


class Reason(Protocol):
    """Why a connection is closed: a member of `pubsub.protocol.codes.Close`, or a custom one."""

    @property
    def code(self) -> int:
        """The status code of the close frame (RFC 6455 §7.4)."""

    @property
    def reason(self) -> str:
        """The reason in the close frame."""


@dataclass(frozen=True, slots=True)
class Other:
    """Input that is not a message: it took time to parse, but needs no action.

    Its cost is in the unit of `pubsub.fairness`.
    """

    cost: int


OTHER = Other(fairness.OTHER_FRAME)
"""A control frame, or one fragment of a message."""


class Peer(Protocol):
    """The connection, as its transport calls it, always on the event loop."""

    def on_readable(self) -> None:
        """There is input: call `Transport.next_message` until it returns ``None``."""

    def on_writable(self) -> None:
        """There is room for frames again, or the outbox has to be flushed now."""

    def on_end(self, end: Callable[[], None]) -> None:
        """There is no message any more: call ``end`` to close, when all of them are answered."""

    def on_lost(self) -> None:
        """The connection is lost or closing: later writes are ignored."""


class Transport(Protocol):
    """One accepted WebSocket.

    Frames leave in the order in which they were written. Bytes that the peer does not read fill the
    socket first, and then a bounded buffer of the transport. The transport is not `writable` then,
    and calls `Peer.on_writable` once it is again. A peer that reads nothing for ``write_timeout``
    seconds while data is waiting is disconnected with 3008 (`Close.SLOW`).
    """

    kind: str
    """What the client uses, such as ``websocket``; one of a few names."""

    writable: bool
    """Whether `write` may be called."""

    close_code: int
    """The status code of the first close frame in either direction; 1006 if there is none."""

    close_reason: str | None
    """The reason in that close frame if it is the server's; ``None`` otherwise."""

    def next_message(self) -> Message | Other | None:
        """Return the next message, or ``None`` if there is no input left."""

    def write(self, frames: Sequence[Frame]) -> None:
        """Write one or more frames, without waiting. Call it only while `writable`."""

    def pause_reading(self) -> None:
        """Take no more input from the socket. What was taken before can still be read."""

    def resume_reading(self) -> None:
        """Take input from the socket again."""

    def close(self, reason: Reason, last: Sequence[Frame] = ()) -> None:
        """Start the closing handshake after what was written before, without waiting.

        The socket is closed after a time limit even if the peer does not answer.

        Args:
            reason: The code and the reason of the close frame.
            last: Frames to send before the close frame, even if the transport is not `writable`.
        """

    async def serve(self, peer: Peer) -> None:
        """Serve the connection with ``peer``; return when the socket is closed."""

    async def wait_closed(self) -> None:
        """Wait until the socket is closed."""
