"""Frames of every kind in one stream, split at arbitrary points."""

import json

import pytest
from websockets.frames import Frame, Opcode

from tests.live.client import Client
from tests.live.server import Server


def ping(number: int, **fields: object) -> bytes:
    """Return a message whose answer carries this number."""
    return json.dumps({"type": "ping", "request_id": str(number), **fields}).encode()


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    """Return one client frame."""
    return Frame(opcode, payload, fin).serialize(mask=True)


def in_fragments(message: bytes) -> bytes:
    """Return a message in three fragments with a WebSocket ping between them."""
    return (
        frame(Opcode.TEXT, message[:5], fin=False)
        + frame(Opcode.CONT, message[5:9], fin=False)
        + frame(Opcode.PING, b"between")
        + frame(Opcode.CONT, message[9:])
    )


def mixture() -> tuple[bytes, int]:
    """Return a stream of messages of every kind, and their number."""
    kinds = [
        lambda number: frame(Opcode.TEXT, ping(number)),
        lambda number: in_fragments(ping(number)),
        lambda number: frame(Opcode.TEXT, ping(number, padding="x" * 100)),
        lambda number: frame(Opcode.BINARY, ping(number)),
        lambda number: frame(Opcode.PONG, b"") + frame(Opcode.TEXT, ping(number)),
        lambda number: frame(Opcode.TEXT, ping(number, padding="é" * 10_000)),
        lambda number: frame(Opcode.TEXT, ping(number, padding="x" * 70_000)),
    ]
    order = [*range(7), *range(6, -1, -1), 0, 0, 1, 1, 5, 5, 0, 6, 6, 0]
    return b"".join(kinds[kind](number) for number, kind in enumerate(order)), len(order)


def answers(client: Client, count: int) -> list[int]:
    """Return the numbers in the next answers."""
    return [int(client.receive()["request_id"]) for _ in range(count)]


@pytest.mark.parametrize("size", [97, 1000, 16_384, 16_385, 1 << 20])
def test_every_kind_of_frame_in_pieces(server: Server, size: int) -> None:
    """Messages are answered in order, whatever the size of the pieces they arrive in."""
    stream, count = mixture()
    client = server.connect()
    for start in range(0, len(stream), size):
        client.send_bytes(stream[start : start + size])
    assert answers(client, count) == list(range(count))


def test_byte_by_byte(server: Server) -> None:
    """A stream that arrives byte by byte is answered in order."""
    stream = b"".join(frame(Opcode.TEXT, ping(n, padding="x" * 100 * n)) for n in range(3))
    client = server.connect()
    for byte in stream:
        client.send_bytes(bytes((byte,)))
    assert answers(client, 3) == [0, 1, 2]


def test_more_than_a_share_of_the_loop(server: Server) -> None:
    """A client that sends more than its share waits, and its messages are answered in order."""
    count = 5000
    stream = b"".join(
        in_fragments(ping(number)) if number % 50 == 0 else frame(Opcode.TEXT, ping(number))
        for number in range(count)
    )
    client = server.connect()
    client.send_bytes(stream + frame(Opcode.CLOSE, b"\x03\xe8"))
    assert answers(client, count) == list(range(count))
    assert client.receive_close() == (1000, "")


def test_pongs_keep_their_place_among_the_answers(server: Server) -> None:
    """Pings and messages are answered in the order in which they were sent."""
    client = server.connect()
    stream = b""
    for number in range(20):
        stream += frame(Opcode.TEXT, ping(number)) + frame(Opcode.PING, str(number).encode())
        stream += frame(Opcode.PING, b"again")
    client.send_bytes(stream)
    for number in range(20):
        assert json.loads(client.receive_frame().data)["request_id"] == str(number)
        assert client.receive_pong() == str(number).encode()
        assert client.receive_pong() == b"again"
