"""Publications and the frames that carry them."""

from pubsub.core.counters import TopicCounters
from pubsub.core.publication import Frame, Publication


def test_frames_have_a_size_and_a_text() -> None:
    """A frame's text is decoded from UTF-8, and its size is in bytes."""
    frame = Frame("né 😀".encode())
    assert (frame.text, frame.size) == ("né 😀", 8)


def test_repr() -> None:
    """The reprs name the topic and the message for logs and debuggers."""
    assert repr(Frame(b"12", TopicCounters("orders"))) == "<Frame event of 'orders', 2 bytes>"
    assert repr(Frame(b"12")) == "<Frame reply, 2 bytes>"
    publication = Publication("orders", "an id", "1", None, 0, None)
    assert repr(publication) == "<Publication an id to 'orders'>"


def test_payload_of_a_framed_message() -> None:
    """A transport may leave its own form in a frame; the payload is the end of it."""
    for payload in (b"12", b""):
        frame = Frame(payload)
        frame.wire, frame.unframed = b"header" + payload, None
        assert frame.payload == payload
