"""Invalid input: it is refused, and neither other clients nor the log are affected."""

import socket

import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode

from tests.bad_messages import BAD_MESSAGES, command, subscribe_with
from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import Server
from tests.live.waiting import PATIENCE, wait_until


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_bad_message(server: Server, name: str) -> None:
    """An invalid message is answered with an error and does not affect other clients."""
    server.create_topic("t")
    bystander, client = server.subscriber("t"), server.connect()
    text, message = BAD_MESSAGES[name]
    answer = client.ask(text)
    assert answer["type"] == "error"
    assert answer["error"]["code"] == "BAD_REQUEST"
    assert answer["error"]["message"].startswith(message)
    assert "request_id" not in answer
    client.assert_nothing_came()
    bystander.assert_nothing_came()


@pytest.mark.parametrize(
    "text",
    [
        command(type="shout", request_id="r"),
        command(type="subscribe", request_id="r"),
        command(type="subscribe", topic="a b", request_id="r"),
        command(request_id="r", type="publish", topic="t", message={"id": "x"}),
        subscribe_with('"x","request_id":"r"'),
        command(type="subscribe", topic="missing", request_id="r"),
        command(type="unsubscribe", topic="missing", request_id="r"),
        command(type="ping", request_id="r", padding="x" * 70_000),
    ],
)
def test_refusal_carries_the_request_id(server: Server, text: str) -> None:
    """An error carries the request id whenever it can be read from the message."""
    answer = server.connect().ask(text)
    assert (answer["type"], answer["request_id"]) == ("error", "r")


def test_refusals_by_the_broker(server: Server) -> None:
    """A well-formed command that cannot be executed gets its error code and the topic."""
    client = server.connect()
    for kind, code in (
        ("subscribe", "TOPIC_NOT_FOUND"),
        ("publish", "TOPIC_NOT_FOUND"),
        ("unsubscribe", "NOT_SUBSCRIBED"),
    ):
        answer = client.ask(type=kind, topic="missing", message={"id": UUID, "payload": 1})
        assert (answer["error"]["code"], answer["topic"]) == (code, "missing")
    server.create_topic("t")
    assert client.ask(type="unsubscribe", topic="t")["error"]["code"] == "NOT_SUBSCRIBED"


def test_30_digit_last_n(server: Server) -> None:
    """A 30-digit `last_n` is accepted and replays the whole history."""
    server.create_topic("t", history=3)
    server.connect().publish("t", "kept")
    client = server.connect()
    assert client.ask(subscribe_with("9" * 30))["type"] == "ack"
    assert client.receive()["message"]["payload"] == "kept"


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b'{"type":"ping","request_id":"r"}'])
def test_binary_frame(server: Server, data: bytes) -> None:
    """A binary frame is refused even if it holds JSON, with the request id from that JSON."""
    client = server.connect()
    client.send_frame(Opcode.BINARY, data)
    answer = client.receive()
    assert answer["error"]["code"] == "BAD_REQUEST"
    assert answer.get("request_id") == ("r" if data.startswith(b"{") else None)
    client.assert_nothing_came()


def test_message_of_70_kib(server: Server) -> None:
    """A message over the message limit is refused and the connection is kept."""
    client = server.connect()
    answer = client.ask("x" * 70 * 1024)
    assert answer["error"]["code"] == "MESSAGE_TOO_LARGE"
    client.assert_nothing_came()


def test_message_of_2_mib(server: Server) -> None:
    """A message over the server's hard limit closes the connection with 1009."""
    client = server.connect()
    client.send("x" * (2 << 20))
    assert client.receive_close()[0] == 1009


def test_more_messages_than_allowed(start_server: StartServer) -> None:
    """Messages over the rate limit are refused, and a client that persists is closed."""
    server = start_server(CHATROOM_RATE_LIMIT="20")
    client, patient = server.connect(), server.connect()
    messages = [{"type": "ping", "request_id": str(number)} for number in range(400)]
    client.send_all(messages[:100])
    answers = [client.receive() for _ in range(100)]
    assert [answer["request_id"] for answer in answers] == [str(number) for number in range(100)]
    assert {answer["type"] for answer in answers[:20]} == {"pong"}
    assert answers[-1]["error"]["code"] == "RATE_LIMITED"
    client.send_all(messages)
    assert client.receive_close() == (3013, "too many requests")
    assert patient.ask(type="ping")["type"] == "pong"


@pytest.mark.parametrize("data", [b"\xff\xfe", b'{"type":"ping"}\xc3', b"\xed\xa0\x80"])
def test_invalid_utf8(server: Server, data: bytes) -> None:
    """Invalid UTF-8 closes the connection with 1007 (RFC 6455 §8.1)."""
    client = server.connect()
    client.send_frame(Opcode.TEXT, data)
    assert client.receive_close()[0] == 1007


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x05hello",  # not masked
        b"\xf1\x80\0\0\0\0",  # reserved bits
        b"\x83\x80\0\0\0\0",  # reserved opcode
        b"\x09\x80\0\0\0\0",  # fragmented control frame
        b"\x80\x80\0\0\0\0",  # continuation without a first fragment
    ],
)
def test_broken_frame(server: Server, data: bytes) -> None:
    """A violation of the WebSocket protocol closes the connection with 1002 (RFC 6455 §7.4.1)."""
    client = server.connect()
    client.send_bytes(data)
    assert client.receive_close()[0] == 1002


def test_fragmented_message(server: Server) -> None:
    """A command may be split into several frames."""
    client = server.connect()
    client.send_bytes(b"\x01\x87\0\0\0\0" + b'{"type"' + b"\x80\x88\0\0\0\0" + b':"ping"}')
    assert client.receive()["type"] == "pong"


@pytest.mark.parametrize("path", ["/", "/ws/", "/wss", "/ws/orders", "/%00"])
def test_other_paths_are_refused(server: Server, path: str) -> None:
    """A handshake on any other path fails with HTTP 403, as is usual in Channels."""
    with pytest.raises(InvalidStatus):
        server.connect(path=path)


def test_garbage_instead_of_http(server: Server) -> None:
    """Bytes that are not HTTP end their own connection and have no other effect."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as raw:
        raw.sendall(b"\x16\x03\x01\x00\xff\x00\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass
    assert server.request("GET", "/health")[0] == 200


def test_disconnection_in_the_middle_of_a_frame(server: Server) -> None:
    """A client that disconnects in the middle of a frame is cleaned up."""
    client: Client = server.connect()
    client.ask(type="ping")
    client.send_bytes(b"\x81\xfe\xff\xff\0\0\0\0{")
    client.reset()
    wait_until(lambda: not server.request("GET", "/health")[1]["clients"])
