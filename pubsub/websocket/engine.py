"""Turns what a peer sends into events: the one owner of the incoming side of RFC 6455 (and 7692).

`frames.parse_text` is the fast path. Fragments, control frames, long messages and violations of
the protocol go to wsproto, frame by frame. Its parser is created when a connection first needs it
and dropped at the next message boundary, so an idle connection does not pay for it.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from wsproto.frame_protocol import CloseReason, FrameProtocol, Opcode, ParseFailed

from pubsub.websocket.deflate import Inflate, InflateFailed, inflate
from pubsub.websocket.frames import (
    COMPRESSED,
    FINAL_TEXT,
    MAX_PLAIN_LENGTH,
    NOT_PLAIN,
    frame_sizes,
    is_control,
    parse_text,
)

TAIL = 1024
"""Bytes that are kept of the end of a message over the limit, in addition to its beginning."""

REASONS = {CloseReason.INVALID_FRAME_PAYLOAD_DATA: "invalid UTF-8"}
"""Reasons of close frames; wsproto's own name its classes."""

COMPRESSED_TEXT = FINAL_TEXT | COMPRESSED

TOO_BIG = int(CloseReason.MESSAGE_TOO_BIG)


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks for a pong with the same payload (RFC 6455 §5.5.2)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The peer answers a ping, or sends an unsolicited pong (RFC 6455 §5.5.3)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The peer starts or answers the closing handshake (RFC 6455 §5.5.1). No event follows.

    ``code`` is ``None`` if the close frame is empty.
    """

    code: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Fault:
    """The peer violated the protocol. No event follows.

    ``code`` is the close code to send (RFC 6455 §7.4.1): 1007 for text that is not UTF-8 and for
    compressed data that is corrupt, 1009 for a message over the limit, and 1002 for everything
    else.
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A message of ``size`` bytes, over the limit; only ``head`` and ``tail`` were kept."""

    is_text: bool
    size: int
    head: bytes
    tail: bytes


class Partial(Enum):
    """Some input was consumed without completing a message."""

    PARTIAL = "partial"


PARTIAL: Final = Partial.PARTIAL

Event = str | bytes | Ping | Pong | Close | Fault | TooLarge | Partial
"""A text message is a ``str``, a binary one ``bytes``."""


class Engine:
    """Parses what the peer of one connection sends.

    Put bytes in with `feed`, then call `next_event` until it returns ``None``. It is fine to stop
    earlier: everything after the last event stays unparsed until the next call.

    An unfinished message takes at most ``max_message_bytes`` and `TAIL` bytes, and the chunk that
    was parsed last: the rest is parsed, validated and discarded.

    Args:
        max_message_bytes: Size of the longest message that becomes a ``str`` or ``bytes``. A longer
            one becomes `TooLarge`, except that a text of up to `TAIL` bytes more in a single frame
            may still be a ``str``.
        max_bytes: Size of the longest message that is read to its end. A longer one is a `Fault`
            with code 1009. A compressed message must not exceed it before it is inflated, either.
        inflates: Whether the peer may send compressed messages (RFC 7692); otherwise they are a
            `Fault`.
    """

    __slots__ = (
        "_data",
        "_ended",
        "_inflated",
        "_inflates",
        "_max_bytes",
        "_max_message",
        "_max_plain",
        "_position",
        "_slow",
    )

    def __init__(self, *, max_message_bytes: int, max_bytes: int, inflates: bool = False) -> None:
        self._max_message = max_message_bytes
        self._max_bytes = max_bytes
        self._inflates = inflates
        self._inflated = 0
        self._max_plain = min(MAX_PLAIN_LENGTH, max_message_bytes + TAIL, max_bytes)
        self._data = b""
        self._position = 0
        self._slow: _SlowParser | None = None
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take bytes from the peer; ignore them after a `Close`, a `Fault` or `close`."""
        if self._ended:
            return
        self._data = self._data[self._position :] + data if self._data else data
        self._position = 0

    def next_event(self) -> Event | None:
        """Return the next event, or ``None`` if more bytes are needed first."""
        data, position = self._data, self._position
        if position == len(data):
            self._data = b""  # an idle connection keeps no chunk of its input
            self._position = 0
            return None
        if self._slow is None:
            text, end = parse_text(data, position, self._max_plain)
            if text is not None:
                self._position = end
                return text
            if end == NOT_PLAIN and self._inflates:
                text, end = parse_text(
                    data, position, self._max_plain, COMPRESSED_TEXT, self._inflate_text
                )
                if text is not None:
                    self._position = end
                    return text
            if end != NOT_PLAIN:
                return None
        return self._next_slowly(data, position)

    def close(self) -> None:
        """Discard all input, now and later."""
        self._ended = True
        self._data = b""
        self._position = 0
        if self._slow is not None:
            self._drop_parser(self._slow)

    def take_inflated(self) -> int:
        """Return the size that messages were inflated to since the last call, in bytes.

        Few compressed bytes can take as much time as many plain ones.
        """
        inflated, self._inflated = self._inflated, 0
        return inflated

    def _next_slowly(self, data: bytes, position: int) -> Event | None:
        """Give the parser one frame, or the part of it that has arrived, and nothing else.

        Later frames can then be held back, and the parser can be dropped without losing them.
        """
        slow = self._slow
        rest = slow.rest if slow is not None else 0
        if not rest:
            sizes = frame_sizes(data, position)
            if sizes is None:
                return None
            rest = sum(sizes)
            if slow is None:
                slow = self._slow = _SlowParser(
                    self._max_message, Inflate(self._max_bytes) if self._inflates else None
                )
            if not is_control(data[position]):
                slow.size += sizes[1]
                if slow.size > self._max_bytes:
                    self.close()
                    return Fault(TOO_BIG, f"message exceeds {self._max_bytes} bytes")
        end = min(position + rest, len(data))
        assert slow is not None  # noqa: S101  # the rest of a frame has a parser
        slow.rest = position + rest - end
        self._position = end
        event = slow.parse(data[position:end])
        if isinstance(event, Close | Fault):
            self.close()
        elif not (slow.rest or slow.in_message):
            self._drop_parser(slow)
        return event

    def _inflate_text(self, payload: bytes) -> str:
        data = inflate(payload, self._max_plain)
        self._inflated += len(data)
        return data.decode()

    def _drop_parser(self, slow: "_SlowParser") -> None:
        self._inflated += slow.inflated
        slow.drop()
        self._slow = None


class _SlowParser:
    """One message, or one control frame before it, in wsproto's parser."""

    __slots__ = (
        *("_head", "_inflate", "_max_message", "_parser", "_seen", "_tail"),
        *("in_message", "rest", "size"),
    )

    def __init__(self, max_message: int, inflate: Inflate | None) -> None:
        self._parser = FrameProtocol(client=False, extensions=[inflate] if inflate else [])
        self._inflate = inflate
        self._max_message = max_message
        self._head = bytearray()
        self._tail = b""
        self._seen = 0
        self.in_message = False
        """Whether a message has begun and not ended."""
        self.rest = 0
        """Bytes of the current frame that have not arrived yet."""
        self.size = 0
        """Payload bytes of the message, as announced by the headers of its frames so far."""

    @property
    def inflated(self) -> int:
        """Bytes that the message was inflated to so far; 0 if it is not compressed."""
        return self._inflate.size if self._inflate is not None else 0

    def parse(self, data: bytes) -> Event:
        """Parse one frame or a part of it."""
        self._parser.receive_bytes(data)
        try:
            for frame in self._parser.received_frames():
                return self._event(frame)
        except InflateFailed as error:
            return Fault(int(error.code), str(error))
        except ParseFailed as error:
            return Fault(int(error.code), REASONS.get(error.code, "protocol error"))
        return PARTIAL

    def _event(self, frame: Any) -> Event:
        payload = frame.payload
        if frame.opcode is Opcode.PING:
            return Ping(payload)
        if frame.opcode is Opcode.PONG:
            return Pong(payload)
        if frame.opcode is Opcode.CLOSE:
            code, reason = payload
            return Close(None if code == CloseReason.NO_STATUS_RCVD else int(code), reason)
        self._keep(payload.encode() if isinstance(payload, str) else payload)
        self.in_message = not frame.message_finished
        return PARTIAL if self.in_message else self._message(frame.opcode)

    def _keep(self, data: bytes) -> None:
        self._seen += len(data)
        room = self._max_message - len(self._head)
        self._head += data[:room]
        if len(data) > room:
            self._tail = (self._tail + data[room:])[-TAIL:]

    def _message(self, opcode: Opcode) -> Event:
        is_text = opcode is Opcode.TEXT
        if self._seen > self._max_message:
            return TooLarge(is_text, self._seen, bytes(self._head), self._tail)
        return self._head.decode() if is_text else bytes(self._head)

    def drop(self) -> None:
        """Break the parser's cycle (its generator refers back to it), so that it is freed now."""
        vars(self._parser).clear()
