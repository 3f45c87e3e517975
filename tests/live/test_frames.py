"""Frames of all kinds in one stream, however the network cuts it: nothing is lost or overtaken."""

import json

import pytest
from websockets.frames import Frame, Opcode

from tests.live.client import Client
from tests.live.server import Server


def ping(number: int, **fields: object) -> bytes:
    """Return a message whose answer carries this number."""
    return json.dumps({"type": "ping", "request_id": str(number), **fields}).encode()


def frame(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    """Return a client's frame."""
    return Frame(opcode, payload, fin).serialize(mask=True)


def in_fragments(message: bytes) -> bytes:
    """Return a message in three fragments, with a ping of WebSocket's own between them."""
    return (
        frame(Opcode.TEXT, message[:5], fin=False)
        + frame(Opcode.CONT, message[5:9], fin=False)
        + frame(Opcode.PING, b"between")
        + frame(Opcode.CONT, message[9:])
    )


def mixture() -> tuple[bytes, int]:
    """Return a stream of all kinds of messages, and how many they are."""
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
    """Return the numbers that the next answers carry."""
    return [int(client.receive()["request_id"]) for _ in range(count)]


@pytest.mark.parametrize("size", [97, 1000, 16_384, 16_385, 1 << 20])
def test_every_kind_of_frame_in_pieces(server: Server, size: int) -> None:
    """Pieces of any size; the answers come in the order of the messages."""
    stream, count = mixture()
    client = server.connect()
    for start in range(0, len(stream), size):
        client.send_bytes(stream[start : start + size])
    assert answers(client, count) == list(range(count))


def test_byte_by_byte(server: Server) -> None:
    """Also within a header."""
    stream = b"".join(frame(Opcode.TEXT, ping(n, padding="x" * 100 * n)) for n in range(3))
    client = server.connect()
    for byte in stream:
        client.send_bytes(bytes((byte,)))
    assert answers(client, 3) == [0, 1, 2]


def test_more_than_a_share_of_the_loop(server: Server) -> None:
    """What comes too fast waits, in order, whoever has parsed it."""
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
    """Every ping is answered, in the order in which messages and pings were sent."""
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
