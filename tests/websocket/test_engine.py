"""The engine: what a peer sends, as events."""

import gc
import tracemalloc
import weakref

import pytest
from websockets.frames import Frame, Opcode

from pubsub.websocket.engine import (
    PARTIAL,
    TAIL,
    Close,
    Engine,
    Fault,
    Ping,
    Pong,
    TooLarge,
)
from tests.websocket.support import events_of, masked

LIMIT = 1000
HARD_LIMIT = 100_000


def make_engine(max_message_bytes: int = LIMIT, max_bytes: int = HARD_LIMIT) -> Engine:
    """Return an engine with small limits."""
    return Engine(max_message_bytes=max_message_bytes, max_bytes=max_bytes)


def one_by_one(data: bytes) -> list[bytes]:
    """Return each byte by itself."""
    return [data[index : index + 1] for index in range(len(data))]


# --- Messages ---


def test_messages_in_one_chunk() -> None:
    """Text is a ``str``, binary data is ``bytes``, and their order is kept."""
    data = masked("a") + masked(b"b", Opcode.BINARY) + masked("") + masked("ä" * 400)
    assert events_of(make_engine(), data) == ["a", b"b", "", "ä" * 400]


def test_messages_cut_anywhere() -> None:
    """It makes no difference how the stream is cut into chunks."""
    data = masked("text") + masked(b"binary", Opcode.BINARY) + masked("x" * 200)
    for size in range(1, 20):
        chunks = [data[start : start + size] for start in range(0, len(data), size)]
        assert events_of(make_engine(), *chunks) == ["text", b"binary", "x" * 200]


def test_what_follows_an_event_is_kept_unparsed() -> None:
    """The caller may stop between two events, and more input may come meanwhile."""
    engine = make_engine()
    third = masked("c")
    engine.feed(masked("a") + masked(b"b", Opcode.BINARY) + third[:3])
    assert engine.next_event() == "a"
    engine.feed(third[3:4])
    assert engine.next_event() == b"b"
    assert engine.next_event() is None
    engine.feed(third[4:] + masked("d"))
    assert [engine.next_event() for _ in range(3)] == ["c", "d", None]


def test_fragments() -> None:
    """Text and binary messages are joined, with characters cut in half and empty fragments."""
    text = "aä€😀"
    data = text.encode()
    fragments = [
        masked(data[:2], fin=False),
        masked(b"", Opcode.CONT, fin=False),
        masked(data[2:5], Opcode.CONT, fin=False),
        masked(data[5:], Opcode.CONT),
        masked(b"\xff", Opcode.BINARY, fin=False),
        masked(b"\xfe", Opcode.CONT),
        masked("next"),
    ]
    expected = [text, b"\xff\xfe", "next"]
    assert events_of(make_engine(), *fragments) == expected
    assert events_of(make_engine(), b"".join(fragments)) == expected
    assert events_of(make_engine(), *one_by_one(b"".join(fragments))) == expected


def test_control_frames_between_fragments() -> None:
    """They come first, in their place, and do not disturb the message (RFC 6455 §5.4)."""
    data = (
        masked("a", fin=False)
        + masked(b"1", Opcode.PING)
        + masked("b", Opcode.CONT, fin=False)
        + masked(b"2", Opcode.PONG)
        + masked("c", Opcode.CONT)
        + masked(b"", Opcode.PING)
    )
    expected = [Ping(b"1"), Pong(b"2"), "abc", Ping(b"")]
    assert events_of(make_engine(), data) == expected
    assert events_of(make_engine(), *one_by_one(data)) == expected


def test_fragment_without_a_message() -> None:
    """Input that completes no message is seen as such, so that it can be charged."""
    engine = make_engine()
    engine.feed(masked("a", fin=False) + masked("b", Opcode.CONT, fin=False))
    assert [engine.next_event() for _ in range(3)] == [PARTIAL, PARTIAL, None]


def test_long_text_frames() -> None:
    """A text frame of 64 KiB and more is parsed like a shorter one."""
    engine = make_engine(max_message_bytes=200_000, max_bytes=1_000_000)
    texts = ["ä" * 32_767, "ä" * 32_768, "x" * 65_535, "x" * 65_536, "x" * 200_000]
    assert events_of(engine, *map(masked, texts)) == texts


# --- Messages over the limit ---


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
def test_message_over_the_limit(opcode: Opcode) -> None:
    """Its size, its beginning and its end are reported, and the next message is read."""
    payload = bytes(32 + index % 90 for index in range(10_000))
    is_text = opcode is Opcode.TEXT
    expected = [TooLarge(is_text, 10_000, payload[:LIMIT], payload[-TAIL:]), "next"]
    data = masked(payload, opcode) + masked("next")
    assert events_of(make_engine(), data) == expected
    for size in (1, 100, 1001, 4096):
        chunks = [data[start : start + size] for start in range(0, len(data), size)]
        assert events_of(make_engine(), *chunks) == expected


def test_message_over_the_limit_in_fragments() -> None:
    """What counts is the size of the whole message."""
    fragment = masked(b"x" * 600, Opcode.CONT, fin=False)
    data = masked(b"a" * 600, fin=False) + fragment + masked(b"z" * 600, Opcode.CONT)
    kept = b"a" * 600 + b"x" * 400
    expected = TooLarge(True, 1800, kept, b"x" * 200 + b"z" * 600)
    assert events_of(make_engine(), data) == [expected]


def test_message_of_just_the_limit() -> None:
    """A message of exactly the limit is a message."""
    assert events_of(make_engine(), masked(b"x" * LIMIT, Opcode.BINARY)) == [b"x" * LIMIT]
    (event,) = events_of(make_engine(), masked(b"x" * LIMIT + b"y", Opcode.BINARY))
    assert event == TooLarge(False, LIMIT + 1, b"x" * LIMIT, b"y")


def test_text_a_little_over_the_limit_is_left_to_the_caller() -> None:
    """The fast path takes it whole, because nothing of it would be thrown away."""
    assert events_of(make_engine(), masked("x" * (LIMIT + TAIL))) == ["x" * (LIMIT + TAIL)]
    (event,) = events_of(make_engine(), masked("x" * (LIMIT + TAIL + 1)))
    assert isinstance(event, TooLarge)


@pytest.mark.parametrize("fragment_size", [1, 60_000])
def test_unfinished_message_takes_little_memory(fragment_size: int) -> None:
    """What exceeds the limit is thrown away, but for the last chunk, which the parser holds."""
    chunk_size = 1000
    engine = make_engine(max_bytes=1 << 30)
    events_of(engine, masked("x", fin=False))
    fragment = masked(b"x" * fragment_size, Opcode.CONT, fin=False)
    chunks = [fragment[at : at + chunk_size] for at in range(0, len(fragment), chunk_size)]
    events_of(engine, *chunks)
    tracemalloc.start()
    try:
        for _ in range(50):
            events_of(engine, *chunks)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < LIMIT + TAIL + chunk_size + 5_000
    (event,) = events_of(engine, masked("x", Opcode.CONT))
    assert isinstance(event, TooLarge) is (fragment_size > 1)


# --- The hard limit ---


def test_message_over_the_hard_limit() -> None:
    """It is a fault as soon as its header announces the size, and ends the input."""
    engine = make_engine()
    header = masked(bytes(HARD_LIMIT + 1), Opcode.BINARY)[:14]
    assert events_of(engine, header) == [Fault(1009, f"message exceeds {HARD_LIMIT} bytes")]
    assert events_of(engine, masked("more")) == []


def test_fragments_over_the_hard_limit() -> None:
    """The sizes of all fragments are added, those of control frames are not."""
    engine = make_engine(max_bytes=2000)
    data = masked(bytes(1500), Opcode.BINARY, fin=False) + masked(bytes(125), Opcode.PING) * 10
    assert events_of(engine, data) == [Ping(bytes(125))] * 10
    assert events_of(engine, masked(bytes(500), Opcode.CONT, fin=False)) == []
    (fault,) = events_of(engine, masked(b"x", Opcode.CONT))
    assert isinstance(fault, Fault)
    assert fault.code == 1009


def test_text_over_a_hard_limit_below_64_kib() -> None:
    """The fast path respects it, too."""
    engine = make_engine(max_message_bytes=1000, max_bytes=500)
    assert events_of(engine, masked("x" * 500)) == ["x" * 500]
    (fault,) = events_of(engine, masked("x" * 501))
    assert isinstance(fault, Fault)
    assert fault.code == 1009


# --- Closing ---


@pytest.mark.parametrize("code", [*range(1000, 1004), *range(1007, 1012), 3000, 3999, 4000, 4999])
def test_close_with_a_valid_code(code: int) -> None:
    """The code and the reason are reported (RFC 6455 §7.4)."""
    payload = code.to_bytes(2, "big") + "Grüße".encode()
    assert events_of(make_engine(), masked(payload, Opcode.CLOSE)) == [Close(code, "Grüße")]


def test_close_without_a_code() -> None:
    """An empty close frame is valid."""
    assert events_of(make_engine(), masked(b"", Opcode.CLOSE)) == [Close(None, "")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535])
def test_close_with_an_invalid_code(code: int) -> None:
    """A code that may not be sent is a fault."""
    (fault,) = events_of(make_engine(), masked(code.to_bytes(2, "big"), Opcode.CLOSE))
    assert isinstance(fault, Fault)
    assert fault.code == 1002


def test_close_in_the_middle_of_a_message() -> None:
    """The unfinished message is dropped."""
    data = masked("a", fin=False) + masked(b"\x03\xe8", Opcode.CLOSE) + masked("b", Opcode.CONT)
    assert events_of(make_engine(), data) == [Close(1000, "")]


@pytest.mark.parametrize(
    "last",
    [masked(b"\x03\xe8", Opcode.CLOSE), b"\x83\x80" + bytes(4)],
    ids=["close", "fault"],
)
def test_input_after_the_end_is_ignored(last: bytes) -> None:
    """Neither what came with the last event nor what comes later is parsed or kept."""
    engine = make_engine()
    assert len(events_of(engine, last + masked("together"))) == 1
    assert events_of(engine, masked("later")) == []
    assert engine._data == b""


def test_closed_by_the_caller() -> None:
    """All input is discarded, with the message that was being parsed."""
    engine = make_engine()
    engine.feed(masked("a", fin=False) + masked("b", Opcode.CONT))
    assert engine.next_event() is PARTIAL
    engine.close()
    assert engine.next_event() is None
    assert events_of(engine, masked("later")) == []
    engine.close()


# --- Faults ---

FAULTS = {
    "unmasked text": Frame(Opcode.TEXT, b"x").serialize(mask=False),
    "unmasked ping": Frame(Opcode.PING, b"x").serialize(mask=False),
    "reserved bit 1": b"\xc1" + masked("x")[1:],
    "reserved bit 2": b"\xa1" + masked("x")[1:],
    "reserved bit 3": b"\x91" + masked("x")[1:],
    "reserved data opcode": b"\x83" + masked("x")[1:],
    "reserved control opcode": b"\x8b" + masked("x")[1:],
    "continuation of nothing": masked("x", Opcode.CONT),
    "text in a message": masked("x", fin=False) + masked("y"),
    "binary in a message": masked("x", fin=False) + masked("y", Opcode.BINARY),
    "fragmented ping": b"\x09" + masked(b"x", Opcode.PING)[1:],
    "long ping": b"\x89" + masked(b"x" * 126)[1:],
    "long close": b"\x88" + masked(b"\x03\xe8" + b"x" * 124)[1:],
    "close code cut in half": masked(b"\x03", Opcode.CLOSE),
    "16-bit length that fits 7": b"\x81\xfe\x00\x7d" + bytes(4 + 125),
    "64-bit length that fits 16": b"\x82\xff" + (65535).to_bytes(8, "big") + bytes(4),
}


@pytest.mark.parametrize("data", FAULTS.values(), ids=FAULTS.keys())
def test_broken_rule(data: bytes) -> None:
    """Each is a fault with code 1002, at once or byte by byte, and ends the input."""
    for chunks in ([data], one_by_one(data)):
        engine = make_engine()
        (fault,) = events_of(engine, *chunks)
        assert isinstance(fault, Fault)
        assert (fault.code, bool(fault.reason)) == (1002, True)
        assert events_of(engine, masked("more")) == []


def test_length_with_the_highest_bit_set() -> None:
    """No message is that long, so the hard limit refuses it first."""
    (fault,) = events_of(make_engine(), b"\x82\xff\x80" + bytes(7 + 4))
    assert isinstance(fault, Fault)
    assert fault.code == 1009


INVALID_UTF_8 = {
    "plain frame": [masked(b"a\xff")],
    "end of a plain frame": [masked(b"a\xc3")],
    "surrogate": [masked(b"\xed\xa0\x80")],
    "first fragment": [masked(b"a\xff", fin=False)],
    "later fragment": [masked(b"a", fin=False), masked(b"\xff", Opcode.CONT, fin=False)],
    "character that two fragments do not complete": [
        masked(b"\xc3", fin=False),
        masked(b"a", Opcode.CONT),
    ],
    "end of the last fragment": [masked(b"a", fin=False), masked(b"\xc3", Opcode.CONT)],
    "what is thrown away": [masked(b"x" * 5000 + b"\xff" + b"x" * 5000)],
    "close reason": [masked(b"\x03\xe8\xff", Opcode.CLOSE)],
}


@pytest.mark.parametrize("chunks", INVALID_UTF_8.values(), ids=INVALID_UTF_8.keys())
def test_text_that_is_not_utf_8(chunks: list[bytes]) -> None:
    """It is a fault with code 1007, as early as it can be seen (RFC 6455 §8.1)."""
    (fault,) = events_of(make_engine(), *chunks)
    assert isinstance(fault, Fault)
    assert fault.code == 1007


# --- What is kept ---


def test_nothing_is_kept_between_messages() -> None:
    """An idle connection holds neither its input nor a parser."""
    engine = make_engine()
    for data in (masked("a"), masked(b"b", Opcode.BINARY), masked(b"", Opcode.PING)):
        events_of(engine, data)
        assert (engine._data, engine._slow) == (b"", None)


def test_parser_is_kept_within_a_message() -> None:
    """Control frames between fragments do not end it, and its last frame does."""
    engine = make_engine()
    events_of(engine, masked("a", fin=False))
    parser = engine._slow
    assert parser is not None
    events_of(engine, masked(b"", Opcode.PING), masked("b", Opcode.CONT, fin=False))
    assert engine._slow is parser
    events_of(engine, masked("c", Opcode.CONT)[:-1])
    assert engine._slow is parser
    events_of(engine, masked("c", Opcode.CONT)[-1:])
    assert engine._slow is None


@pytest.mark.parametrize(
    "end",
    [
        masked("b", Opcode.CONT),
        masked(b"\x03\xe8", Opcode.CLOSE),
        masked("a new message"),
        masked(b"\xff", Opcode.CONT),
        masked(bytes(HARD_LIMIT), Opcode.CONT),
        None,
    ],
    ids=["message", "close", "fault", "not UTF-8", "hard limit", "closed by the caller"],
)
def test_parser_is_freed_without_the_garbage_collector(end: bytes | None) -> None:
    """Its last reference is the engine's, however the message ends."""
    engine = make_engine()
    gc.disable()
    try:
        events_of(engine, masked("a", fin=False))
        assert engine._slow is not None
        freed = weakref.ref(engine._slow._parser)
        if end is None:
            engine.close()
        else:
            assert len(events_of(engine, end)) == 1
        assert freed() is None
    finally:
        gc.enable()
