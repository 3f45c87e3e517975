"""Frames: the header of RFC 6455 §5.2 for each of its three forms of a length."""

import pytest

from pubsub.core.frame import Frame
from pubsub.core.topic import Topic


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_wire_form(length: int, header: bytes) -> None:
    """The payload follows its header, and can be read back as text."""
    frame = Frame(b"x" * length)
    assert frame.wire == header + b"x" * length
    assert frame.size == len(frame.wire)
    assert frame.text == frame.text == "x" * length


def test_text_is_decoded() -> None:
    """From UTF-8."""
    assert Frame("né 😀".encode()).text == "né 😀"


def test_repr_tells_events_from_replies() -> None:
    """For a log or a debugger."""
    assert repr(Frame(b"12", Topic("orders"))) == "<Frame event of 'orders', 4 bytes>"
    assert repr(Frame(b"12")) == "<Frame reply, 4 bytes>"
