"""What the pumps of a connection expect of its transport."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pubsub.core.frame import Frame
from pubsub.protocol.codes import Close

Send = Callable[[dict[str, Any]], Any]


class Listener(Protocol):
    """Who is told what becomes of the socket. Calls come from the event loop."""

    def on_writable(self) -> None:
        """There is room for frames again."""

    def on_blocked(self) -> None:
        """The socket is full, and so is the transport's own buffer."""

    def on_lost(self) -> None:
        """The connection is gone; nothing that was or will be written arrives."""


class Transport(Protocol):
    """One accepted WebSocket.

    Frames leave in the order in which they were written. Bytes that the peer does not read are
    held up in the socket first and in the transport next, up to a bound of its own; then it is
    not `writable`, and calls the listener once it is.
    """

    writable: bool
    """Whether `write_nowait` may be called."""

    @property
    def closed(self) -> bool:
        """Whether the connection is known to have ended."""

    @property
    def backlog(self) -> int:
        """How much has been written that the socket has not taken; 0 if nothing."""

    @property
    def progress(self) -> int:
        """A number that grows whenever the socket takes some of the backlog."""

    def write_nowait(self, frames: Sequence[Frame]) -> bool:
        """Write at least one frame, without waiting; tell whether the socket took all of it."""

    def pause_reading(self) -> None:
        """Let the peer's messages wait in the network, as far as the server allows it."""

    def resume_reading(self) -> None:
        """Take messages again."""

    def close(self, why: Close) -> None:
        """Start the closing handshake, behind what was written before; needs no answer."""
