"""Compressed connections beside others, with clients of several kinds."""

import json
import random
from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from pubsub.websocket.deflate import deflate
from tests.live.client import UUID, Client
from tests.live.server import Server, running_server
from tests.live.test_backpressure import MB, publish_all, read_all
from tests.websocket.streams import CONTINUATION, FINAL, PING, TEXT, WireFrame

COMPRESSED = 0x40

PAYLOAD = '{"b":99.50, "a":123456789012345678901234567890,"b":"' + "é" * 1000 + '"}'
"""A payload that changes if it is decoded and encoded again."""


@pytest.fixture(scope="module")
def compressing_server() -> Iterator[Server]:
    """One Daphne with compression for all tests of this module."""
    with running_server(CHATROOM_COMPRESSION="true") as server:
        yield server


@pytest.fixture
def server(compressing_server: Server) -> Iterator[Server]:
    """That server, cleared after each test."""
    yield compressing_server
    compressing_server.clear()


def publish_command(topic: str, payload: str) -> str:
    """Return a command with a payload that is already encoded."""
    return f'{{"type":"publish","topic":"{topic}","message":{{"id":"{UUID}","payload":{payload}}}}}'


def url(server: Server) -> str:
    """Return the address of the WebSocket."""
    return f"ws://127.0.0.1:{server.port}/ws"


def test_mixed_room(server: Server) -> None:
    """Clients with and without compression get the same text, with the payload byte for byte."""
    topic = server.create_topic("mixed")
    with (
        connect(url(server), compression="deflate") as publisher,
        connect(url(server), compression="deflate") as other,
    ):
        clients = [server.connect(compression=compression) for compression in (True, False)]
        assert [client.compressed for client in clients] == [True, False]
        for client in clients:
            client.ask(type="subscribe", topic=topic)
        other.send(json.dumps({"type": "subscribe", "topic": topic}))
        assert json.loads(other.recv())["type"] == "ack"
        for payload in (PAYLOAD, '"short"'):
            publisher.send(publish_command(topic, payload))
            assert json.loads(publisher.recv())["type"] == "ack"
            events = {*(client.receive_text() for client in clients), other.recv()}
            (event,) = events
            assert f'"payload":{payload}}}' in event


def test_subprotocol_and_compression(server: Server) -> None:
    """Both are agreed on in one response."""
    client = server.connect(compression=True, subprotocols=["chatroom.v1"])
    assert (client.subprotocol, client.compressed) == ("chatroom.v1", True)


def test_invalid_offer(server: Server) -> None:
    """It is declined, and the client is welcome without compression."""
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits=99"}
    client = server.connect(headers=offer)
    assert not client.compressed
    assert client.ask(type="ping")["type"] == "pong"


def fragments(text: str, size: int) -> list[WireFrame]:
    """Return a compressed message in fragments of some bytes."""
    payload = deflate(text.encode())
    parts = [payload[start : start + size] for start in range(0, len(payload), size)]
    first, *rest = (WireFrame(CONTINUATION, part) for part in parts)
    last = rest.pop() if rest else WireFrame(CONTINUATION, b"")
    return [
        WireFrame(COMPRESSED | TEXT, first.payload),
        *rest,
        WireFrame(FINAL | CONTINUATION, last.payload),
    ]


def test_compressed_fragments(server: Server) -> None:
    """Control frames between them are answered, and the message is executed."""
    topic = server.create_topic("fragments")
    subscriber, publisher = server.subscriber(topic), server.connect(compression=True)
    first, *rest = fragments(publish_command(topic, PAYLOAD), 7)
    ping = WireFrame(FINAL | PING, b"between")
    publisher.send_bytes(b"".join(map(bytes, (first, ping, *rest))))
    assert publisher.receive_pong() == b"between"
    assert publisher.receive()["type"] == "ack"
    assert PAYLOAD in subscriber.receive_text()


def refused(client: Client, bomb: bytes) -> tuple[int, str]:
    """Send a message that is too large when it is inflated; return how the connection ends."""
    client.send_bytes(bytes(WireFrame(FINAL | COMPRESSED | TEXT, bomb)))
    return client.receive_close()


def test_bombs(server: Server) -> None:
    """Each is refused at the limit, and costs neither memory nor anyone else's connection."""
    bomb = deflate(b"x" * 20 * MB)
    assert len(bomb) < 20 * MB / 900
    bystander = server.connect(compression=True)
    refused(server.connect(compression=True), bomb)
    before = server.memory()
    for _ in range(10):
        assert refused(server.connect(compression=True), bomb)[0] == 1009
    assert server.memory() - before < 8 * MB
    assert bystander.ask(type="ping")["type"] == "pong"


def test_message_over_the_limit_for_commands(server: Server) -> None:
    """It is answered with an error, as without compression, and the connection stays."""
    client = server.connect(compression=True)
    command = json.dumps({"type": "ping", "request_id": "large", "x": "x" * 100_000})
    client.send_bytes(bytes(WireFrame(FINAL | COMPRESSED | TEXT, deflate(command.encode()))))
    answer = client.receive()
    assert (answer["error"]["code"], answer["request_id"]) == ("MESSAGE_TOO_LARGE", "large")
    assert client.ask(type="ping")["type"] == "pong"


def test_slow_consumer(server: Server) -> None:
    """A compressed subscriber that does not read costs little and learns its exact losses."""
    topic = server.create_topic("slow")
    publisher = server.connect(compression=True)
    incompressible = random.Random(1).randbytes(15_000).hex()
    publish_all(publisher, None, topic, 100, incompressible)
    stalled = server.connect(compression=True, receive_buffer=4096)
    stalled.ask(type="subscribe", topic=topic)
    before = server.memory()
    publish_all(publisher, None, topic, total := 600, incompressible)
    assert server.memory() - before < 5 * MB
    numbers, lost = read_all(stalled)
    assert len(numbers) + lost == total
    assert lost > total / 4
    assert server.request("GET", "/stats")[1]["topics"][topic]["dropped"] == lost
