"""The quick parser of plain text frames, against the frames of the library `websockets`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pubsub.transport.daphne.framing import NotPlain, frame_size, parse_text
from websockets.frames import Frame, Opcode

MAX = 65535


def masked(text: str | bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    """Return a client's frame."""
    payload = text.encode() if isinstance(text, str) else text
    return Frame(opcode, payload, fin).serialize(mask=True)


@given(st.lists(st.text(max_size=300)), st.binary(max_size=8))
def test_frames_in_a_row(texts: list[str], before: bytes) -> None:
    """Each text as it was sent, wherever it stands in the buffer."""
    data = before + b"".join(masked(text) for text in texts)
    position = len(before)
    for text in texts:
        parsed, position = parse_text(data, position, MAX)
        assert parsed == text
    assert position == len(data)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 128, 65535])
def test_lengths(length: int) -> None:
    """Each form of the length but the longest, at its limits."""
    assert parse_text(masked("x" * length), 0, MAX) == ("x" * length, len(masked("x" * length)))


@pytest.mark.parametrize("length", [0, 5, 130])
def test_incomplete(length: int) -> None:
    """Wherever it breaks off."""
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
)
def test_everything_else_is_left_to_others(frame: bytes) -> None:
    """Other kinds of frames, and faults."""
    with pytest.raises(NotPlain):
        parse_text(frame, 0, MAX)


def test_too_long() -> None:
    """Before all of it has come."""
    assert parse_text(masked("12345678"), 0, 8)[0] == "12345678"
    with pytest.raises(NotPlain):
        parse_text(masked("123456789")[:2], 0, 8)


@pytest.mark.parametrize("mask", [True, False])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_frame_size(length: int, mask: bool) -> None:
    """It is known as soon as the header has come."""
    frame = Frame(Opcode.BINARY, bytes(length)).serialize(mask=mask)
    header = len(frame) - length - (4 if mask else 0)
    for end in range(header):
        assert frame_size(b"before" + frame[:end], 6) is None
    for end in (header, header + 1, len(frame)):
        assert frame_size(b"before" + frame[:end], 6) == len(frame)
