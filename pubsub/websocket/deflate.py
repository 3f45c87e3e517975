"""Compressed messages: permessage-deflate (RFC 7692), without context takeover in either direction.

Every message is compressed by itself. So the compressed form of an event is the same for all
subscribers, and a connection keeps no compressor, no decompressor and no window between messages.
"""

import re
import zlib
from typing import Any, Final

from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, Opcode, ParseFailed, RsvBits

NAME: Final = "permessage-deflate"

MIN_BYTES: Final = 1024
"""Bytes of the shortest message that is worth compressing."""

WINDOW_BITS: Final = 12
"""The base-2 logarithm of the window that messages are compressed with: 4 KiB.

All subscribers share one form, so a client that allows less than this gets no compression. For
JSON, a larger window saves about 1 %, and takes several times as long to set up.
"""

LEVEL: Final = 6
"""zlib's own default. An event is compressed once, but sent to every subscriber."""

_EMPTY_BLOCK = b"\x00\x00\xff\xff"
"""What the end of a message leaves out of an empty block without compression (RFC 7692 §7.2.1)."""

_END = _EMPTY_BLOCK + b"\x03\x00"
"""The same, and an empty block that is marked as the last one (RFC 1951 §3.2.3): data that is cut
short has another meaning with it, and the decompressor does not come to its end."""

_PARAMETER = re.compile(
    r"((?:server|client)_no_context_takeover|client_max_window_bits)"
    r'|((?:server|client)_max_window_bits)[ \t]*=[ \t]*("?)(8|9|1[0-5])\3'
)
"""A valid parameter of an offer (RFC 7692 §7.1)."""


def negotiate(offers: str) -> str | None:
    """Return the answer to the first acceptable offer, or ``None`` if there is none.

    An offer is declined if a parameter is unknown, invalid or repeated (RFC 7692 §7), or if the
    client's window is smaller than `WINDOW_BITS`. The answer excludes context takeover even if the
    offer does not, as a server may (§7.1.1), and names a window only if the offer does (§7.1.2).

    Args:
        offers: The value of ``Sec-WebSocket-Extensions`` in the client's handshake. Splitting it at
            commas and semicolons is enough: no valid value contains one (RFC 6455 §9.1).
    """
    return next(filter(None, map(_answer, offers.split(","))), None)


def _answer(offer: str) -> str | None:
    name, *parameters = (part.strip(" \t") for part in offer.split(";"))
    if name != NAME:
        return None
    values: dict[str, str | None] = {}
    for parameter in parameters:
        found = _PARAMETER.fullmatch(parameter)
        if found is None or (found[1] or found[2]) in values:
            return None
        values[found[1] or found[2]] = found[4]
    answer = f"{NAME}; server_no_context_takeover; client_no_context_takeover"
    window = values.get("server_max_window_bits")
    if window is None:
        return answer
    if int(window) < WINDOW_BITS:
        return None
    return f"{answer}; server_max_window_bits={WINDOW_BITS}"


def deflate(payload: bytes) -> bytes:
    """Return the payload of a compressed message (RFC 7692 §7.2.1)."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS)
    data = compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return data[: -len(_EMPTY_BLOCK)]


def inflate(payload: bytes, max_bytes: int) -> bytes:
    """Return what a complete message was compressed from: the fast path of `Inflate`.

    Raises:
        ValueError: It is corrupt, or longer than ``max_bytes``; `Inflate` will find out which.
    """
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = decompressor.decompress(payload + _END, max_bytes)
    except zlib.error:
        raise ValueError("invalid compressed data") from None
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError("incomplete")
    return data


class InflateFailed(ParseFailed):
    """A compressed message that is refused; ``code`` is the close code.

    It is 1009 if the message exceeds the limit, and 1007 if its data is corrupt. RFC 7692 names no
    code for corrupt data; like most implementations, this takes the one for data that is not
    consistent with the type of the message (RFC 6455 §7.4.1), because no text can be made of it.
    """


class Inflate(Extension):
    """Inflates one message in wsproto's parser, which calls this for each piece that it reads.

    wsproto has such an extension itself, but that one inflates without a bound, and a control frame
    between two fragments makes it take the rest of the message for uncompressed.

    Args:
        max_bytes: The size that a message may be inflated to. Inflation stops one byte above it,
            whatever has arrived.
    """

    name = NAME

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._started = False
        self._compressed = False
        self._active = False
        self._decompressor: Any = None
        self.size = 0
        """Bytes that the message was inflated to so far."""

    def enabled(self) -> bool:
        """Return true: it exists only where it was negotiated."""
        return True

    def offer(self) -> bool:
        """Offer nothing: wsproto has no part in the handshake."""
        return False

    def frame_inbound_header(
        self, proto: Any, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Note whether the message is compressed, which its first frame says (RFC 7692 §6).

        The bit for it on any other frame violates the protocol.
        """
        if opcode in (Opcode.TEXT, Opcode.BINARY):
            if self._started:
                return CloseReason.PROTOCOL_ERROR
            self._started, self._compressed = True, rsv.rsv1
        elif rsv.rsv1:
            return CloseReason.PROTOCOL_ERROR
        self._active = self._compressed and not opcode.iscontrol()
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes:
        """Inflate a piece of the message.

        Raises:
            InflateFailed: See there.
        """
        return self._inflate(data) if self._active and data else data

    def frame_inbound_complete(self, proto: Any, fin: bool) -> bytes | None:
        """Inflate what is left at the end of the message.

        Raises:
            InflateFailed: See there, or the data is cut short.
        """
        if not (fin and self._active and self._decompressor is not None):
            return None
        if self._decompressor.eof:
            return b""
        rest = self._inflate(_END)
        if not self._decompressor.eof:
            raise _corrupt()
        return rest

    def _inflate(self, data: bytes) -> bytes:
        if self._decompressor is None:
            self._decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            inflated: bytes = self._decompressor.decompress(data, self._max_bytes - self.size + 1)
        except zlib.error:
            raise _corrupt() from None
        self.size += len(inflated)
        if self.size > self._max_bytes:
            raise InflateFailed(
                f"message exceeds {self._max_bytes} bytes", CloseReason.MESSAGE_TOO_BIG
            )
        # After a block that is marked as the last one there is nothing but the beginning of the
        # empty block (RFC 7692 §7.2.3.4).
        if self._decompressor.unused_data not in (b"", b"\x00"):
            raise _corrupt()
        return inflated


def _corrupt() -> InflateFailed:
    return InflateFailed("invalid compressed data", CloseReason.INVALID_FRAME_PAYLOAD_DATA)
