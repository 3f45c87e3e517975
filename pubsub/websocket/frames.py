"""The fast path for incoming frames, and the bytes of outgoing ones.

`parse_text` handles the common case, complete and masked text frames under 64 KiB, in about 1 µs.
All other frames are left to a library (see `engine`).
"""

import functools
from collections.abc import Callable

FINAL_TEXT = 0x81
FINAL_CLOSE = 0x88
FINAL_PING = 0x89
FINAL_PONG = 0x8A
MASKED = 0x80
COMPRESSED = 0x40
"""The bit of the first byte that marks a message as compressed (RFC 7692 §6)."""

MAX_PLAIN_LENGTH = (1 << 16) - 1
"""Bytes of the longest text that `parse_text` parses."""

MAX_REASON_BYTES = 123
"""Bytes of the reason in a close frame: a payload of 125 (RFC 6455 §5.5) less the code."""

NOT_PLAIN = -1

_from_bytes = int.from_bytes


def parse_text(
    data: bytes,
    start: int,
    max_length: int,
    first_byte: int = FINAL_TEXT,
    decode: Callable[[bytes], str] = bytes.decode,
) -> tuple[str | None, int]:
    """Parse the masked, unfragmented text frame that begins at ``start`` (RFC 6455 §5.2).

    Args:
        data: What the peer has sent.
        start: Where the frame begins.
        max_length: The length of the longest payload that is parsed, in bytes.
        first_byte: The first byte of such a frame.
        decode: Makes the text of the unmasked payload, or raises a ``ValueError``.

    Returns:
        The text and the position of the next frame. ``(None, start)`` if the frame is incomplete.
        ``(None, NOT_PLAIN)`` if it is another kind of frame, longer than ``max_length`` bytes, or
        violates the RFC.
    """
    size = len(data)
    if data[start] != first_byte:
        return None, NOT_PLAIN
    if size < start + 2:
        return None, start
    length = data[start + 1] - MASKED
    begin = start + 6
    if length == 126:
        if size < start + 4:
            return None, start
        length = data[start + 2] << 8 | data[start + 3]
        begin = start + 8
        if length < 126:
            return None, NOT_PLAIN
    if not 0 <= length <= max_length or (length == 127 and begin == start + 6):
        return None, NOT_PLAIN
    end = begin + length
    if size < end:
        return None, start
    # As two large numbers: the fastest way for plain Python to unmask a few hundred bytes. The
    # mask is repeated to whole words, so the number may be longer than the payload.
    mask = data[begin - 4 : begin] * (length + 3 >> 2)
    unmasked = _from_bytes(data[begin:end], "little") ^ _from_bytes(mask, "little")
    try:
        return decode(unmasked.to_bytes(len(mask), "little")[:length]), end
    except ValueError:
        return None, NOT_PLAIN


def frame_sizes(data: bytes, start: int) -> tuple[int, int] | None:
    """Return the sizes of the header and the payload of the frame at ``start`` (RFC 6455 §5.2).

    Returns ``None`` if the header is incomplete. The payload need not have arrived.
    """
    if len(data) < start + 2:
        return None
    header, length = 2, data[start + 1] & ~MASKED
    if length > 125:
        header = 4 if length == 126 else 10
        if len(data) < start + header:
            return None
        length = int.from_bytes(data[start + 2 : start + header], "big")
    header += 4 if data[start + 1] & MASKED else 0
    return None if len(data) < start + header else (header, length)


def is_control(first_byte: int) -> bool:
    """Return whether a frame that begins with this byte is a control frame (RFC 6455 §5.5)."""
    return bool(first_byte & 0x08)


@functools.lru_cache(maxsize=4096)
def text_header(length: int) -> bytes:
    """Return the header of an unmasked, unfragmented text frame (RFC 6455 §5.2)."""
    if length < 126:
        return bytes((FINAL_TEXT, length))
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def text_frame(payload: bytes) -> bytes:
    """Return an unmasked, unfragmented text frame (RFC 6455 §5.6)."""
    return text_header(len(payload)) + payload


def compressed_text_frame(payload: bytes) -> bytes:
    """Return an unfragmented text frame whose payload is compressed (RFC 7692 §6)."""
    header = text_header(len(payload))
    return bytes((header[0] | COMPRESSED,)) + header[1:] + payload


def ping_frame(payload: bytes = b"") -> bytes:
    """Return a ping frame; ``payload`` may have up to 125 bytes (RFC 6455 §5.5.2)."""
    return bytes((FINAL_PING, len(payload))) + payload


def pong_frame(payload: bytes) -> bytes:
    """Return a pong frame; ``payload`` must be that of the ping (RFC 6455 §5.5.3)."""
    return bytes((FINAL_PONG, len(payload))) + payload


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Return a close frame (RFC 6455 §5.5.1); without a code it is empty.

    A reason of more than `MAX_REASON_BYTES` is cut at a character boundary.
    """
    if code is None:
        return bytes((FINAL_CLOSE, 0))
    text = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
    return bytes((FINAL_CLOSE, 2 + len(text))) + code.to_bytes(2, "big") + text
