"""What the pumps of a connection expect of its transport."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from pubsub.core.frame import Frame
from pubsub.protocol.codes import Close

Send = Callable[[dict[str, Any]], Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]


def payload_of(message: dict[str, Any]) -> str | bytes:
    """Return the payload of an ASGI ``websocket.receive``: of its two keys one may be missing."""
    text: str | None = message.get("text")
    return (message.get("bytes") or b"") if text is None else text


class Listener(Protocol):
    """Who gets the peer's messages, and is told what becomes of the socket.

    Calls come from the event loop.
    """

    def on_message(self, message: str | bytes) -> bool:
        """Take the payload of a text or a binary message, or refuse it.

        After a refusal nothing is read until `Transport.resume_reading` is called; then the same
        message comes again.
        """

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

    async def read(self, receive: Receive) -> None:
        """Pass on the peer's messages, in order, until the connection has ended."""

    def resume_reading(self) -> None:
        """Offer again the message that the listener has refused."""

    def close(self, why: Close) -> None:
        """Start the closing handshake, behind what was written before; needs no answer."""
