"""Streams of frames that were valid until something mutated their bytes."""

from collections.abc import Callable

from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from websockets.exceptions import ProtocolError
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from tests.live.client import UUID, Closed
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.reliability.conftest import SEED, Record, scaled
from tests.reliability.traces import LeavesNoTrace

CONTRACT = {1002, 1007, 1009, 3501}
"""How the server may close a connection because of what the client sent."""

LOST = 1006
"""The stream ends without a close frame, as ours did."""

ANSWER = (1000, "")
"""How the server answers a close frame, whatever its code is."""

MESSAGES = (
    b'{"type":"subscribe","topic":"t","last_n":3,"request_id":"s"}',
    b'{"type":"publish","topic":"t","message":{"id":"%s","payload":[1,{"a":null}]}}'
    % UUID.encode(),
    b'{"type":"publish","topic":"t","message":{"id":"%s","payload":"%s"}}'
    % (UUID.encode(), b"x" * 300),
    b'{"type":"unsubscribe","topic":"t"}',
    '{"type":"ping","request_id":"ü€😀"}'.encode(),
    b"",
)


MASK = bytes([0x15, 0xDD, 0xD4, 0x22])
"""Always the same, so that a failure can be repeated."""


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    """Return a frame of a client with at most 65,535 bytes."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
    masked = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(data))
    return bytes([fin << 7 | opcode]) + size + MASK + masked


def fragmented(data: bytes, at: int) -> bytes:
    """Return a message in two frames with a ping between them (RFC 6455 §5.4)."""
    return (
        frame(Opcode.TEXT, data[:at], fin=False)
        + frame(Opcode.PING, b"between")
        + frame(Opcode.CONT, data[at:])
    )


frames = st.one_of(
    st.sampled_from(MESSAGES).map(lambda data: frame(Opcode.TEXT, data)),
    st.builds(fragmented, st.sampled_from(MESSAGES), st.integers(0, 60)),
    st.builds(frame, st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=130)),
    st.builds(frame, st.sampled_from([Opcode.BINARY, Opcode.CONT]), st.binary(max_size=20)),
    st.builds(frame, st.integers(3, 15), st.binary(max_size=5)),  # most are reserved opcodes
    st.sampled_from([b"", b"\x03\xe8", b"\x03", b"\x0b\xb8bye", b"\x03\xed", b"\x03\xe8\xff"]).map(
        lambda data: frame(Opcode.CLOSE, data)
    ),
    st.builds(lambda data: Frame(Opcode.TEXT, data).serialize(mask=False), st.binary(max_size=9)),
    # Lengths that no message may have, and lengths in more bytes than they need (§5.2).
    st.sampled_from(
        [b"\x81\xff" + size.to_bytes(8) + b"mask" for size in (5, 1 << 30, 1 << 62, 1 << 63)]
    ),
)

Mutation = Callable[[bytearray], None]


def flip(position: int, bit: int) -> Mutation:
    """Return the mutation that flips one bit."""

    def mutate(stream: bytearray) -> None:
        if stream:
            stream[position % len(stream)] ^= 1 << bit

    return mutate


def cut(start: int, size: int) -> Mutation:
    """Return the mutation that removes some bytes."""

    def mutate(stream: bytearray) -> None:
        begin = start % (len(stream) + 1)
        del stream[begin : begin + size]

    return mutate


def insert(position: int, data: bytes) -> Mutation:
    """Return the mutation that inserts some bytes."""

    def mutate(stream: bytearray) -> None:
        begin = position % (len(stream) + 1)
        stream[begin:begin] = data

    return mutate


positions = st.integers(0, 400)
mutations = st.one_of(
    st.builds(flip, positions, st.integers(0, 7)),
    st.builds(cut, positions, st.integers(1, 400)),
    st.builds(insert, positions, st.binary(min_size=1, max_size=12)),
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Return what a client sends, in the pieces in which it sends it."""
    stream = bytearray(b"".join(draw(st.lists(frames, min_size=1, max_size=6))))
    for mutate in draw(st.lists(mutations, max_size=3)):
        mutate(stream)
    at = draw(st.integers(0, len(stream)))
    return [bytes(stream[:at]), bytes(stream[at:])]


def closes(stream: bytes) -> bool:
    """Return whether the client closes the connection, according to another implementation."""
    oracle = ServerProtocol(state=State.OPEN, max_size=None)
    try:
        oracle.receive_data(stream)
    except ProtocolError:
        return False
    return oracle.close_rcvd is not None


def send(server: Server, pieces: list[bytes]) -> tuple[int, str]:
    """Send the pieces and the end of the stream; return how the server closed the connection."""
    client = server.connect(answers=False)
    try:
        for piece in pieces:
            client.send_bytes(piece)
        client.shut_down_writing()
    except OSError:
        pass  # it was closed already
    try:
        while True:
            received = client.receive_frame()
            if received.opcode is Opcode.CLOSE:
                close = Close.parse(received.data)
                return close.code, close.reason
    except Closed as end:
        return end.code, end.reason


def test_mutated_frames(start_server: StartServer, record: Record) -> None:
    """Whatever the bytes are, the server closes with a code of the contract, and stays healthy."""
    server = start_server(CHATROOM_HISTORY_SIZE="10")
    server.create_topic("t")
    seen: dict[int, int] = {}

    @seed(SEED)
    @settings(
        max_examples=scaled(100, most=4000),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(streams())
    @example([b"\x81\xff", (1 << 30).to_bytes(8) + MASK])
    def send_and_check(pieces: list[bytes]) -> None:
        code, reason = send(server, pieces)
        seen[code] = seen.get(code, 0) + 1
        if code not in CONTRACT | {LOST}:
            assert (code, reason) == ANSWER
            assert closes(b"".join(pieces))
        server.reset_clients()

    with LeavesNoTrace(server) as trace:
        send_and_check()
    # The mutations reach every part of the parser.
    assert CONTRACT - {3501} <= seen.keys()
    record(
        f"{sum(seen.values()):,} streams of mutated frames",
        f"no connection of another client; memory grew by {trace.growth / 2**20:.1f} MiB; "
        f"closed with {', '.join(map(str, sorted(seen)))}",
    )
