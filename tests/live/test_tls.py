"""TLS terminated by Daphne itself, where frames are written in another way."""

import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.frames import Opcode

from tests.live.certificate import write_certificate
from tests.live.client import UUID, Client
from tests.live.conftest import StartServer

MESSAGE = {"id": UUID, "payload": "x" * 20_000}


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    """Return a TLS endpoint with its own certificate."""
    certificate, key = write_certificate(tmp_path)
    return f"ssl:FREE_PORT:privateKey={key}:certKey={certificate}"


def test_tls(start_server: StartServer, endpoint: str) -> None:
    """Delivery, backpressure and the clean stop also work over TLS."""
    server = start_server(
        *("-m", "daphne", "-e", endpoint, "chatroom_project.asgi:application"),
        CHATROOM_AUTO_CREATE_TOPICS="true",
    )
    stalled, reader, publisher = (server.connect(tls=True) for _ in range(3))
    for client in (stalled, reader):
        assert client.ask(type="subscribe", topic="t")["type"] == "ack"

    def publish(client: Client) -> None:
        assert client.ask(type="publish", topic="t", message=MESSAGE)["type"] == "ack"
        assert reader.receive()["message"] == MESSAGE

    publish(publisher)
    before = server.memory()
    for _ in range(1000):
        publish(publisher)
    assert server.memory() - before < 5_000_000
    received = [stalled.receive() for _ in range(100)]
    assert {message["type"] for message in received} == {"event"}
    assert server.stop() == 0
    assert reader.receive_close() == (3001, "shutdown")


def test_input_after_a_close_frame_is_discarded(start_server: StartServer, endpoint: str) -> None:
    """Input after a close frame is discarded without being kept in memory."""
    server = start_server(*("-m", "daphne", "-e", endpoint, "chatroom_project.asgi:application"))
    client, other = server.connect(tls=True), server.connect(tls=True)
    other.ask(type="ping")
    before = server.memory()
    client.send_frame(Opcode.CLOSE, b"\x03\xe8")
    assert client.receive_close() == (1000, "")
    with suppress(ConnectionError, ssl.SSLError):
        for _ in range(300):
            client.send_frame(Opcode.BINARY, b"x" * 60_000)
    other.ask(type="ping")
    assert server.memory() - before < 5_000_000
