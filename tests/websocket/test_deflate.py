"""permessage-deflate, with the library `websockets` and zlib itself as the oracles."""

import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
)
from websockets.frames import Frame, Opcode
from websockets.headers import parse_extension

from pubsub.websocket import deflate
from pubsub.websocket.deflate import MIN_BYTES, WINDOW_BITS, Inflate, negotiate
from pubsub.websocket.engine import TAIL, Engine, Event, Fault, Ping, TooLarge
from pubsub.websocket.frames import compressed_text_frame
from tests.websocket.streams import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FINAL,
    PING,
    TEXT,
    WireFrame,
    cut,
    pieces,
)
from tests.websocket.support import events_of, masked

COMPRESSED = 0x40

LIMIT = 1000
HARD_LIMIT = 100_000

PLAIN_ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

WINDOW_ANSWER = f"{PLAIN_ANSWER}; server_max_window_bits={WINDOW_BITS}"

# --- Negotiation ---


@pytest.mark.parametrize(
    ("offers", "answer"),
    [
        ("permessage-deflate", PLAIN_ANSWER),
        ("permessage-deflate; client_max_window_bits", PLAIN_ANSWER),
        ("permessage-deflate; client_max_window_bits=8", PLAIN_ANSWER),
        ("permessage-deflate;server_no_context_takeover;client_no_context_takeover", PLAIN_ANSWER),
        (" permessage-deflate ; server_max_window_bits = 15 ", WINDOW_ANSWER),
        ('permessage-deflate; server_max_window_bits="12"', WINDOW_ANSWER),
        ("permessage-deflate; server_max_window_bits=11, permessage-deflate", PLAIN_ANSWER),
        ("x-webkit-deflate-frame, , permessage-deflate; x, permessage-deflate", PLAIN_ANSWER),
    ],
)
def test_first_acceptable_offer(offers: str, answer: str) -> None:
    """It is answered without context takeover, and with a window only if it names one."""
    assert negotiate(offers) == answer


@pytest.mark.parametrize(
    "parameters",
    [
        "server_max_window_bits",
        "server_max_window_bits=",
        "server_max_window_bits=8",
        "server_max_window_bits=11",
        "server_max_window_bits=16",
        "server_max_window_bits=015",
        "server_max_window_bits=15; server_max_window_bits=15",
        'server_max_window_bits="15',
        "client_max_window_bits=7",
        "client_max_window_bits=",
        "client_max_window_bits=+9",
        "client_max_window_bits; client_max_window_bits=9",
        "client_no_context_takeover=1",
        "server_no_context_takeover; server_no_context_takeover",
        "unknown",
        "CLIENT_MAX_WINDOW_BITS",
        "",
    ],
)
def test_offer_that_is_declined(parameters: str) -> None:
    """A parameter is unknown, invalid or repeated, or the window is too small (RFC 7692 §7)."""
    assert negotiate(f"permessage-deflate; {parameters}") is None


@pytest.mark.parametrize("offers", ["", ",", "deflate", "permessage-bzip2; level=9", ";"])
def test_other_extensions(offers: str) -> None:
    """Nothing is answered that was not offered."""
    assert negotiate(offers) is None


@given(st.text(alphabet='permssag-dfltclintvx_wb=; ,"12\t\xff'))
def test_any_header(offers: str) -> None:
    """Whatever a client sends, the answer is one of a few constants."""
    assert negotiate(offers) in (None, PLAIN_ANSWER, WINDOW_ANSWER)


windows = st.none() | st.integers(9, 15)


@given(
    st.builds(
        ClientPerMessageDeflateFactory,
        st.booleans(),
        st.booleans(),
        windows,
        st.just(True) | windows,
    )
)
def test_client_accepts_the_answer(client: ClientPerMessageDeflateFactory) -> None:
    """`websockets` finds no fault with it, whatever it offers; it is declined for its window."""
    offered = "".join(
        f"; {name}" + (f"={value}" if value is not None else "")
        for name, value in client.get_request_params()
    )
    answer = negotiate(deflate.NAME + offered)
    if (client.server_max_window_bits or 15) < WINDOW_BITS:
        assert answer is None
        return
    ((_, parameters),) = parse_extension(answer)
    agreed = client.process_response_params(parameters, [])
    assert agreed.local_no_context_takeover
    assert agreed.remote_no_context_takeover
    assert agreed.remote_max_window_bits in (WINDOW_BITS, 15)


# --- Outgoing messages ---

payloads = st.one_of(
    st.text(max_size=300).map(str.encode),
    st.builds(lambda text, count: (text * count).encode(), st.text(max_size=40), st.just(200)),
)


@given(payloads)
def test_websockets_inflates_what_is_deflated(payload: bytes) -> None:
    """A client needs no more than the window that was agreed on."""
    client = PerMessageDeflate(True, True, WINDOW_BITS, 15)
    frame = Frame(Opcode.TEXT, deflate.deflate(payload), rsv1=True)
    assert bytes(client.decode(frame).data) == payload


@pytest.mark.parametrize("size", [5, 200, 70_000])
def test_compressed_text_frame(size: int) -> None:
    """It is a text frame, but for one bit of its first byte."""
    frame = compressed_text_frame(bytes(size))
    plain = Frame(Opcode.TEXT, bytes(size)).serialize(mask=False)
    assert (frame[0], frame[1:]) == (plain[0] | COMPRESSED, plain[1:])


def test_typical_event_becomes_smaller() -> None:
    """The shortest event that is compressed is worth it."""
    event = b'{"id":"550e8400","symbol":"AAPL","price":99.50},' * 30
    assert len(deflate.deflate(event[:MIN_BYTES])) < MIN_BYTES / 4


# --- Incoming messages ---


def payload_of(
    data: bytes, level: int = 6, window: int = 15, flush: int = zlib.Z_SYNC_FLUSH
) -> bytes:
    """Return the payload of a compressed message as a client may send it."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -window)
    compressed = compressor.compress(data) + compressor.flush(flush)
    return compressed[:-4] if flush == zlib.Z_SYNC_FLUSH else compressed + b"\x00"


def fragments(payload: bytes, *places: int, opcode: int = TEXT) -> list[WireFrame]:
    """Return a compressed message that is cut into fragments at these places."""
    parts = list(pieces(payload, places))
    return [
        WireFrame(
            (FINAL if number == len(parts) - 1 else 0)
            | (opcode | COMPRESSED if number == 0 else CONTINUATION),
            part,
        )
        for number, part in enumerate(parts)
    ]


def wire(*frames: WireFrame) -> bytes:
    """Return frames as they are sent."""
    return b"".join(map(bytes, frames))


def make_engine(**options: Any) -> Engine:
    """Return an engine with small limits for a peer that may compress."""
    limits = {"max_message_bytes": LIMIT, "max_bytes": HARD_LIMIT}
    return Engine(**limits | options, inflates=True)


@given(
    data=payloads,
    level=st.integers(0, 9),
    window=st.integers(9, 15),
    flush=st.sampled_from([zlib.Z_SYNC_FLUSH, zlib.Z_FINISH]),
    draw=st.data(),
)
def test_compressed_messages_in_any_form(
    data: bytes, level: int, window: int, flush: int, draw: st.DataObject
) -> None:
    """However a message is compressed and cut, with a ping in it, its text arrives."""
    payload = payload_of(data, level, window, flush)
    places = draw.draw(st.lists(st.integers(0, len(payload)), max_size=3).map(sorted))
    first, *rest = fragments(payload, *places)
    ping = [WireFrame(FINAL | PING, b"p")] if rest else []
    chunks = draw.draw(cut(wire(first, *ping, *rest, WireFrame(FINAL | TEXT, b"plain"))))
    engine = make_engine(max_message_bytes=1 << 16)
    assert events_of(engine, *chunks) == [Ping(b"p")] * len(ping) + [data.decode(), "plain"]
    assert engine.take_inflated() == len(data)
    assert engine.take_inflated() == 0
    assert engine._slow is None


def test_binary_message() -> None:
    """It is inflated like a text."""
    frames = fragments(payload_of(b"\xff" * 500), 3, opcode=BINARY)
    assert events_of(make_engine(), wire(*frames)) == [b"\xff" * 500]


@pytest.mark.parametrize("places", [(), (0,)])
def test_empty_message(places: tuple[int, ...]) -> None:
    """It is one byte (RFC 7692 §7.2.3.6); some compressors leave out that as well."""
    for payload in (b"\x00", b""):
        assert events_of(make_engine(), wire(*fragments(payload, *places))) == [""]


def test_example_of_the_rfc() -> None:
    """A message of a block that is marked as the last one (RFC 7692 §7.2.3.4)."""
    payload = bytes.fromhex("f348cdc9c90700 00")
    for places in ((), (3,), (7,)):
        assert events_of(make_engine(), wire(*fragments(payload, *places))) == ["Hello"]


CORRUPT = {
    "reserved block type": b"\x07",
    "reference to before the beginning": b"\x02\x06\x00",
    "cut short": payload_of(b"some text and some more text")[:-3],
    "cut short in a block without compression": payload_of(b"x" * 100, level=0)[:-60],
    "after the last block": payload_of(b"x", flush=zlib.Z_FINISH) + b"\x00",
    "another stream": payload_of(b"x", flush=zlib.Z_FINISH)[:-1] + payload_of(b"y"),
}


def test_library_has_no_part_in_the_handshake() -> None:
    """What wsproto would offer is nothing."""
    assert not Inflate(LIMIT).offer()


@pytest.mark.parametrize("payload", CORRUPT.values(), ids=CORRUPT.keys())
def test_corrupt_data(payload: bytes) -> None:
    """It is a fault with code 1007, in one frame or in many."""
    for places in ((), (1,), tuple(range(1, len(payload)))):
        engine = make_engine()
        expected = [Fault(1007, "invalid compressed data")]
        assert events_of(engine, wire(*fragments(payload, *places)), masked("next")) == expected


@pytest.mark.parametrize("places", [(), (1,)])
def test_inflated_text_that_is_not_utf_8(places: tuple[int, ...]) -> None:
    """It is a fault like any other text that is not UTF-8."""
    frames = fragments(payload_of(b"a\xff"), *places)
    assert events_of(make_engine(), wire(*frames)) == [Fault(1007, "invalid UTF-8")]


FIRST, LAST = fragments(payload_of(b"text"), 2)

FAULTS = {
    "ping": [WireFrame(FINAL | COMPRESSED | PING, b"")],
    "close": [WireFrame(FINAL | COMPRESSED | CLOSE, b"\x03\xe8")],
    "continuation": [FIRST, WireFrame(FINAL | COMPRESSED | CONTINUATION, LAST.payload)],
    "continuation of a plain message": [
        WireFrame(TEXT, b"a"),
        WireFrame(FINAL | COMPRESSED | CONTINUATION, b"b"),
    ],
    "continuation of nothing": [WireFrame(FINAL | COMPRESSED | CONTINUATION, LAST.payload)],
    "message in a message": [FIRST, WireFrame(FINAL | COMPRESSED | TEXT, b"\x07")],
    "plain message in a message": [FIRST, WireFrame(FINAL | TEXT, b"\xff")],
    "second reserved bit": [WireFrame(FINAL | COMPRESSED | 0x20 | TEXT, b"\x00")],
}


@pytest.mark.parametrize("frames", FAULTS.values(), ids=FAULTS.keys())
def test_misplaced_bits(frames: list[WireFrame]) -> None:
    """Only the first frame of a message says that it is compressed (RFC 7692 §6)."""
    (fault,) = events_of(make_engine(), wire(*frames))
    assert fault == Fault(1002, "protocol error")


def test_compressed_message_that_was_not_negotiated() -> None:
    """It is a fault, as any reserved bit is (RFC 6455 §5.2)."""
    engine = Engine(max_message_bytes=LIMIT, max_bytes=HARD_LIMIT)
    message = wire(*fragments(payload_of(b"text")))
    assert events_of(engine, message) == [Fault(1002, "protocol error")]


# --- Limits ---


@pytest.mark.parametrize("places", [(), (4,)], ids=["one frame", "fragments"])
def test_limits_hold_after_inflation(places: tuple[int, ...]) -> None:
    """They count the bytes that a message is inflated to."""

    def received(size: int) -> list[Event]:
        engine = make_engine()
        frames = fragments(payload_of(b"x" * size), *places, opcode=BINARY)
        return events_of(engine, wire(*frames), masked("next"))

    assert received(LIMIT) == [b"x" * LIMIT, "next"]
    assert received(5 * LIMIT) == [
        TooLarge(False, 5 * LIMIT, b"x" * LIMIT, b"x" * TAIL),
        "next",
    ]
    assert isinstance(received(HARD_LIMIT)[0], TooLarge)
    fault = Fault(1009, f"message exceeds {HARD_LIMIT} bytes")
    assert received(HARD_LIMIT + 1) == [fault]


def test_text_a_little_over_the_limit_is_left_to_the_caller() -> None:
    """As without compression, the fast path takes it whole."""
    text = "x" * (LIMIT + TAIL)
    assert events_of(make_engine(), wire(*fragments(payload_of(text.encode())))) == [text]
    engine = make_engine()
    (event,) = events_of(engine, wire(*fragments(payload_of(b"x" + text.encode()))))
    assert isinstance(event, TooLarge)
    assert engine.take_inflated() == event.size == LIMIT + TAIL + 1


def test_compressed_size_is_limited_as_well() -> None:
    """The header of a frame that announces more is a fault, whatever it might be inflated to."""
    header = wire(*fragments(bytes(HARD_LIMIT + 1)))[:14]
    fault = Fault(1009, f"message exceeds {HARD_LIMIT} bytes")
    assert events_of(make_engine(), header) == [fault]


@pytest.mark.parametrize("cuts", [1, 50])
def test_bomb_takes_little_memory(cuts: int) -> None:
    """Data that would be inflated a thousandfold is refused when the limit is reached."""
    payload = payload_of(bytes(20_000_000), level=9)
    assert len(payload) * 1000 < 20_000_000
    stream = wire(*fragments(payload, *range(0, len(payload), len(payload) // cuts)))
    engine = make_engine()
    tracemalloc.start()
    try:
        (event,) = events_of(engine, stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert event == Fault(1009, f"message exceeds {HARD_LIMIT} bytes")
    assert peak < 10 * HARD_LIMIT


def test_idle_connection_keeps_nothing() -> None:
    """Neither a window nor a decompressor is left between two messages."""
    engine, plain = make_engine(), Engine(max_message_bytes=LIMIT, max_bytes=HARD_LIMIT)
    first, last = fragments(payload_of(b"text"), 2)
    events_of(engine, wire(first, last))
    events_of(engine, wire(*fragments(payload_of(b"text"))))
    assert (engine._data, engine._slow) == (b"", None)
    kept = [getattr(engine, slot) for slot in Engine.__slots__]
    assert {type(value) for value in kept} <= {int, bool, bytes, type(None)}
    assert plain.take_inflated() == 0
