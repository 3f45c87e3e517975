"""The engine beside `websockets`: both find the same in whatever a peer sends."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from pubsub.websocket import frames as outgoing
from pubsub.websocket.engine import PARTIAL, Close, Engine, Event, Fault, Ping, TooLarge
from tests.websocket.oracle import NOT_UTF8, PROTOCOL_ERROR, TOO_BIG, Oracle, normalized
from tests.websocket.streams import (
    BINARY,
    CLOSE,
    CLOSE_CODES,
    CONTINUATION,
    FINAL,
    PING,
    TEXT,
    WireFrame,
    close_payload,
    controls,
    cut,
    exchanges,
    faults,
    streams,
    texts,
)

ROOMY = {"max_message_bytes": 1 << 20, "max_bytes": 2 << 20}
TIGHT = {"max_message_bytes": 1000, "max_bytes": 60_000}
"""Limits that some of the drawn messages exceed: only the first, or both."""


def engine_events(pieces: Iterable[bytes], limits: dict[str, int] = ROOMY) -> list[Event]:
    """Return what the engine finds in a stream that comes in pieces."""
    engine = Engine(**limits)
    events = []
    for piece in pieces:
        engine.feed(piece)
        while (event := engine.next_event()) is not None:
            if event is not PARTIAL:
                events.append(event)
    return normalized(events, limits["max_message_bytes"])


def wire(frames: Iterable[WireFrame]) -> bytes:
    """Return frames as they are sent."""
    return b"".join(map(bytes, frames))


# --- Drawn streams ---


@pytest.mark.parametrize("limits", [ROOMY, TIGHT], ids=["roomy", "tight"])
@given(frames=streams, data=st.data())
def test_engine_agrees_with_websockets(
    limits: dict[str, int], frames: list[WireFrame], data: st.DataObject
) -> None:
    """Both find the same messages, pings and pongs in the same order, and the same end."""
    stream = wire(frames)
    found = engine_events(data.draw(cut(stream), label="pieces"), limits)
    assert found == Oracle(**limits).events(stream)


@given(before=exchanges, fault=faults)
def test_every_fault_is_found(before: list[WireFrame], fault: list[WireFrame]) -> None:
    """After any exchange, each fault is the last event and has a code that the RFC names."""
    *_, last = engine_events([wire(before) + wire(fault)])
    assert last in (Fault(PROTOCOL_ERROR, ""), Fault(NOT_UTF8, ""))


@given(frames=exchanges, data=st.data())
def test_engine_waits_for_the_rest(frames: list[WireFrame], data: st.DataObject) -> None:
    """Cut short anywhere, a sound stream gives the first of its events, and no fault."""
    stream = wire(frames)
    end = data.draw(st.integers(0, len(stream)), label="end")
    found = engine_events([stream[:end]])
    assert found == engine_events([stream])[: len(found)]


# --- What websockets does not check, or checks later ---


@pytest.mark.parametrize(("size", "length_bytes"), [(5, 2), (125, 2), (5, 8), (65_535, 8)])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_length_must_take_the_fewest_bytes(opcode: int, size: int, length_bytes: int) -> None:
    """A length in more bytes than it needs breaks a rule (RFC 6455 §5.2)."""
    frame = WireFrame(FINAL | opcode, b"x" * size, length_bytes=length_bytes)
    assert engine_events([bytes(frame)]) == [Fault(PROTOCOL_ERROR, "")]


def test_length_must_not_be_negative() -> None:
    """The most significant bit of a long length has to be 0 (RFC 6455 §5.2)."""
    header = bytes((FINAL | BINARY, 0xFF)) + b"\x80" + bytes(7) + b"mask"
    (event,) = engine_events([header])
    assert isinstance(event, Fault)
    assert event.code in (PROTOCOL_ERROR, TOO_BIG)


def test_bad_text_is_refused_before_its_end() -> None:
    """Text that can no longer become UTF-8 is a fault at once; the rest need not come (§8.1)."""
    start = bytes(WireFrame(TEXT, b"sound"))
    rest = bytes(WireFrame(FINAL | CONTINUATION, b"\xf4\x90" + b"x" * 100))
    assert engine_events([start + rest[:10]]) == [Fault(NOT_UTF8, "")]


def test_close_within_a_message() -> None:
    """A peer may close although it has not finished its message (§5.4)."""
    close = WireFrame(FINAL | CLOSE, close_payload(1001, b"gone"))
    stream = wire([WireFrame(TEXT, b"unfinished"), close])
    assert engine_events([stream]) == [Close(1001, "gone")]


@pytest.mark.parametrize("code", CLOSE_CODES)
def test_close_codes(code: int) -> None:
    """Every code that a peer may send is passed on."""
    frame = WireFrame(FINAL | CLOSE, close_payload(code, "schön".encode()))
    assert engine_events([bytes(frame)]) == [Close(code, "schön")]


# --- Limits ---


def in_fragments(opcode: int, payload: bytes, count: int) -> bytes:
    """Return a message in so many fragments of about the same size."""
    step = len(payload) // count + 1
    frames = []
    for start in range(0, len(payload), step):
        final = FINAL if start + step >= len(payload) else 0
        piece = payload[start : start + step]
        frames.append(WireFrame(final | (opcode if start == 0 else CONTINUATION), piece))
    return wire(frames)


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_limits_are_exact(opcode: int, count: int) -> None:
    """A message of exactly the limit is taken, whatever it comes in; one byte more is not."""
    limit, hard_limit = TIGHT["max_message_bytes"], TIGHT["max_bytes"]
    (whole,) = engine_events([in_fragments(opcode, b"x" * limit, count)], TIGHT)
    assert whole == ("x" if opcode == TEXT else b"x") * limit
    for size in (limit + 1, hard_limit):
        (event,) = engine_events([in_fragments(opcode, b"x" * size, count)], TIGHT)
        assert isinstance(event, TooLarge)
        assert event.size == size
    beyond = in_fragments(opcode, b"x" * (hard_limit + 1), count)
    assert engine_events([beyond], TIGHT) == [Fault(TOO_BIG, "")]


def test_hard_limit_holds_at_the_header() -> None:
    """What a frame announces is refused before any of it comes, so nothing has to be kept."""
    frame = bytes(WireFrame(FINAL | BINARY, b"x" * (TIGHT["max_bytes"] + 1)))
    assert engine_events([frame[:8]], TIGHT) == [Fault(TOO_BIG, "")]


def test_control_frames_do_not_count_for_the_limit() -> None:
    """Pings within a message leave its size alone."""
    half = b"x" * (TIGHT["max_bytes"] // 2)
    ping = WireFrame(FINAL | PING, b"p" * 125)
    stream = wire([WireFrame(BINARY, half), ping, WireFrame(FINAL | CONTINUATION, half)])
    first, second = engine_events([stream], TIGHT)
    assert first == Ping(ping.payload)
    assert isinstance(second, TooLarge)


# --- The frames that we send ---


def client_receives(data: bytes) -> list[tuple[Opcode, bytes]]:
    """Return the frames that a client of `websockets` finds in what we send."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    client.receive_data(data)
    assert client.parser_exc is None
    return [(frame.opcode, bytes(frame.data)) for frame in client.events_received()]


@given(payload=texts)
def test_text_frame_is_understood(payload: bytes) -> None:
    """A client finds the text in our frame, in every form that the header can take."""
    assert client_receives(outgoing.text_frame(payload)) == [(Opcode.TEXT, payload)]


@given(payload=controls)
def test_ping_and_pong_frames_are_understood(payload: bytes) -> None:
    """A client finds the payload in our control frames."""
    sent = outgoing.ping_frame(payload) + outgoing.pong_frame(payload)
    assert client_receives(sent) == [(Opcode.PING, payload), (Opcode.PONG, payload)]


long_reasons = st.builds(
    lambda offset, character: "x" * offset + character * 60,
    st.integers(0, 3),
    st.sampled_from("é€😀"),
)


@given(code=st.none() | st.sampled_from(CLOSE_CODES), reason=st.text() | long_reasons)
def test_close_frame_is_understood(code: int | None, reason: str) -> None:
    """A client finds the code and as much of the reason as fits, never half a character."""
    ((opcode, payload),) = client_receives(outgoing.close_frame(code, reason))
    assert opcode is Opcode.CLOSE
    if code is None:
        assert payload == b""
    else:
        assert int.from_bytes(payload[:2], "big") == code
        sent = payload[2:].decode()
        assert reason.startswith(sent)
        assert sent == reason or len((sent + reason[len(sent)]).encode()) > 123
