"""The fast path and the outgoing frames, with the library `websockets` as the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from pubsub.websocket import frames
from pubsub.websocket.frames import NOT_PLAIN, frame_sizes, parse_text
from tests.websocket.support import masked

MAX = 65535
REFUSED = (None, NOT_PLAIN)


@given(st.lists(st.text(max_size=300)), st.binary(max_size=8))
def test_frames_in_a_row(texts: list[str], before: bytes) -> None:
    """Each text is parsed as it was sent, wherever it stands in the buffer."""
    data = before + b"".join(masked(text) for text in texts)
    position = len(before)
    for text in texts:
        parsed, position = parse_text(data, position, MAX)
        assert parsed == text
    assert position == len(data)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 128, 65535])
def test_lengths(length: int) -> None:
    """Both short forms of the length are parsed, at their limits."""
    assert parse_text(masked("x" * length), 0, MAX) == ("x" * length, len(masked("x" * length)))


@pytest.mark.parametrize("length", [0, 5, 130])
def test_incomplete(length: int) -> None:
    """An incomplete frame is left in place, wherever it breaks off."""
    frame = masked("x" * length)
    for size in range(1, len(frame)):
        assert parse_text(frame[:size], 0, MAX) == (None, 0)


@pytest.mark.parametrize(
    "frame",
    [
        masked(b"binary", Opcode.BINARY),
        masked("begin", fin=False),
        masked("end", Opcode.CONT),
        masked(b"", Opcode.PING),
        masked(b"\x03\xe8", Opcode.CLOSE),
        masked("x" * 65536),
        masked(b"\xff"),
        masked("half a character: é"[:-1].encode() + b"\xc3"),
        Frame(Opcode.TEXT, b"unmasked").serialize(mask=False),
        Frame(Opcode.TEXT, b"x" * 126).serialize(mask=False),
        Frame(Opcode.TEXT, b"x" * 127).serialize(mask=False),
        b"\xc1" + masked("a reserved bit")[1:],
        b"\x81\xfe\x00\x7d" + bytes(4 + 125),
    ],
    ids=[f"frame{number}" for number in range(13)],  # masks are random
)
def test_everything_else_is_left_to_the_engine(frame: bytes) -> None:
    """Other kinds of frames and faults are not plain."""
    assert parse_text(frame, 0, MAX) == REFUSED


def test_too_long() -> None:
    """A frame over the limit is not plain, even before its payload has arrived."""
    assert parse_text(masked("12345678"), 0, 8)[0] == "12345678"
    assert parse_text(masked("123456789")[:2], 0, 8) == REFUSED


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_sizes_are_known_once_the_header_is_complete(length: int, mask: bool) -> None:
    """The payload need not be there, and the frame may be of any kind."""
    frame = Frame(Opcode.BINARY, bytes(length)).serialize(mask=mask)
    header = len(frame) - length
    for end in range(header):
        assert frame_sizes(b"before" + frame[:end], 6) is None
    for end in (header, header + 1, len(frame)):
        assert frame_sizes(b"before" + frame[:end], 6) == (header, length)


@pytest.mark.parametrize("opcode", list(Opcode))
def test_control_frames_are_told_by_their_first_byte(opcode: Opcode) -> None:
    """Close, ping and pong are control frames, whatever their other bits are."""
    expected = opcode in (Opcode.CLOSE, Opcode.PING, Opcode.PONG)
    for first_bits in range(0, 256, 16):
        assert frames.is_control(first_bits | opcode) is expected


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_text_frame(length: int) -> None:
    """Every form of the length is written as `websockets` writes it."""
    payload = b"x" * length
    expected = Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert frames.text_frame(payload) == expected
    assert frames.text_header(length) + payload == expected


@given(st.binary(max_size=125))
def test_ping_and_pong_frames(payload: bytes) -> None:
    """A payload of any bytes is carried unchanged."""
    assert frames.ping_frame(payload) == Frame(Opcode.PING, payload).serialize(mask=False)
    assert frames.pong_frame(payload) == Frame(Opcode.PONG, payload).serialize(mask=False)


def test_ping_frame_is_empty_by_default() -> None:
    """A ping needs no payload."""
    assert frames.ping_frame() == Frame(Opcode.PING, b"").serialize(mask=False)


@given(st.integers(1000, 4999), st.text(max_size=30))
def test_close_frame(code: int, reason: str) -> None:
    """Code and reason are written as `websockets` reads them."""
    header, payload = frames.close_frame(code, reason)[:2], frames.close_frame(code, reason)[2:]
    assert header == bytes((0x88, len(payload)))
    assert (int.from_bytes(payload[:2], "big"), payload[2:].decode()) == (code, reason)


def test_close_frame_without_a_code_is_empty() -> None:
    """There is no reason without a code (RFC 6455 §5.5.1)."""
    assert frames.close_frame(None) == Frame(Opcode.CLOSE, b"").serialize(mask=False)


@given(st.text(min_size=40, max_size=200))
def test_long_reason_is_cut_between_characters(reason: str) -> None:
    """The frame stays a valid control frame, and the reason a prefix of what was asked for."""
    payload = frames.close_frame(1000, reason)[2:]
    parsed = Close.parse(payload)
    assert len(payload) <= 125
    assert reason.startswith(parsed.reason)
    assert len(parsed.reason.encode()) > min(len(reason.encode()), 123) - 4
