"""One outgoing message, in the form in which it waits and leaves."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pubsub.core.topic import Topic


def _header(length: int) -> bytes:
    """Return the header of an unmasked, unfragmented text frame (RFC 6455 §5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


class Frame:
    """A text frame, encoded once and shared by every outbox that holds it.

    ``wire`` is the whole WebSocket frame, ready for a socket; ``text`` is its payload, for a
    server that frames by itself. ``topic`` is the topic that the frame is an event of, set when it
    is published; it is ``None`` for replies and notices, which no overflow policy may drop.
    """

    __slots__ = ("_text", "size", "topic", "wire")

    def __init__(self, payload: bytes, topic: "Topic | None" = None) -> None:
        self.wire = _header(len(payload)) + payload
        self.size = len(self.wire)
        self.topic = topic
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The payload as text, decoded at the first use."""
        if self._text is None:
            header_size = {126: 4, 127: 10}.get(self.wire[1], 2)
            self._text = self.wire[header_size:].decode()
        return self._text

    def __repr__(self) -> str:
        kind = "reply" if self.topic is None else f"event of {self.topic.name!r}"
        return f"<Frame {kind}, {self.size} bytes>"
