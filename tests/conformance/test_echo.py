"""What the Autobahn test suite tests, on a real socket, with `websockets` as peer and oracle."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from pubsub.websocket.engine import Close, Event, Fault, Ping
from tests.conformance.ours import MAX_MESSAGE_BYTES
from tests.live.server import Server
from tests.websocket.oracle import Oracle
from tests.websocket.streams import (
    CLOSE,
    FINAL,
    WireFrame,
    close_payload,
    closes,
    cut,
    exchanges,
    faults,
)

Received = list[tuple[Opcode, bytes]]

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)

conversations = st.builds(
    lambda before, end: [*before, *end],
    exchanges,
    closes.map(lambda frame: [frame])
    | st.builds(lambda bad, rest: [*bad, *rest], faults, exchanges),
)
"""What a peer may send until the connection ends. A faulty one may go on; after a close frame it
must not (RFC 6455 §5.5.1)."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of an echo on our transport."""
    server = Server("-m", "daphne", "-p", "0", "tests.conformance.echo:ours")
    try:
        yield server.port
        assert server.complaints() == []
    finally:
        server.close()


async def converse(port: int, pieces: Sequence[bytes]) -> Received:
    """Send a stream in pieces, and read until the server closes; return its frames.

    Raises:
        ConnectionResetError: The server did not read what it was sent, so its last frames may be
            lost.
    """
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(HANDSHAKE)
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            answer = await reader.read()
        finally:
            writer.close()
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    client.receive_data(answer)
    assert client.parser_exc is None
    return [(frame.opcode, bytes(frame.data)) for frame in client.events_received()]


def expected(stream: bytes) -> Received:
    """Return what an echo has to answer to a stream; of a close frame only the code, or none."""
    oracle = Oracle(max_message_bytes=MAX_MESSAGE_BYTES, max_bytes=MAX_MESSAGE_BYTES)
    return [answer for event in oracle.events(stream) for answer in answers(event)]


def answers(event: Event) -> Received:
    """Return the frames that an event is answered with."""
    if isinstance(event, str):
        return [(Opcode.TEXT, event.encode())]
    if isinstance(event, bytes):
        return [(Opcode.BINARY, event)]
    if isinstance(event, Ping):
        return [(Opcode.PONG, event.payload)]
    if isinstance(event, Fault):
        return [(Opcode.CLOSE, event.code.to_bytes(2, "big"))]
    return [(Opcode.CLOSE, b"")] if isinstance(event, Close) else []


@given(frames=conversations, data=st.data())
def test_echo_answers_as_the_rfc_asks(
    port: int, frames: list[WireFrame], data: st.DataObject
) -> None:
    """Every message comes back and every ping is answered, in order, and the end is clean.

    The server closes the connection itself, after a close frame with the code of the fault if
    there was one, and does not reset it.
    """
    stream = b"".join(map(bytes, frames))
    pieces = data.draw(cut(stream), label="pieces")
    *received, (opcode, close) = asyncio.run(converse(port, pieces))
    *wanted, (_, code) = expected(stream)
    assert received == wanted
    assert opcode is Opcode.CLOSE
    assert close.startswith(code)


def test_echo_survives_a_large_message(port: int) -> None:
    """A message larger than every buffer on its way comes back whole."""
    payload = bytes(range(256)) * 4000
    end = WireFrame(FINAL | CLOSE, close_payload(1000))
    stream = bytes(WireFrame(FINAL | 2, payload)) + bytes(end)
    first, (opcode, _) = asyncio.run(converse(port, [stream]))
    assert first == (Opcode.BINARY, payload)
    assert opcode is Opcode.CLOSE
