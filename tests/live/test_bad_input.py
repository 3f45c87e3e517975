"""What a client must not send: it is told so, and nobody else notices, the log least of all."""

import socket

import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode

from tests.bad_messages import BAD_MESSAGES, command, subscribe_with
from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import Server


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_bad_message(server: Server, name: str) -> None:
    """The client is told what is wrong and stays connected; a subscriber notices nothing."""
    server.create_topic("t")
    bystander, client = server.subscriber("t"), server.connect()
    text, sentence = BAD_MESSAGES[name]
    answer = client.ask(text)
    assert answer["type"] == "error"
    assert answer["error"]["code"] == "BAD_REQUEST"
    assert answer["error"]["message"].startswith(sentence)
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
    """Whenever one can be read from the message."""
    answer = server.connect().ask(text)
    assert (answer["type"], answer["request_id"]) == ("error", "r")


def test_refusals_by_the_broker(server: Server) -> None:
    """The codes for what is well-formed and yet impossible, with the topic that it is about."""
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


def test_30_digit_last_n_is_a_number_like_any_other(server: Server) -> None:
    """It asks for all there is."""
    server.create_topic("t", history=3)
    server.connect().publish("t", "kept")
    client = server.connect()
    assert client.ask(subscribe_with("9" * 30))["type"] == "ack"
    assert client.receive()["message"]["payload"] == "kept"


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b'{"type":"ping","request_id":"r"}'])
def test_binary_frame(server: Server, data: bytes) -> None:
    """It is refused, even if it holds JSON; the request id is read all the same."""
    client = server.connect()
    client.send_frame(Opcode.BINARY, data)
    answer = client.receive()
    assert answer["error"]["code"] == "BAD_REQUEST"
    assert answer.get("request_id") == ("r" if data.startswith(b"{") else None)
    client.assert_nothing_came()


def test_message_of_70_kib(server: Server) -> None:
    """Over the limit of one message: refused, and the connection is kept."""
    client = server.connect()
    answer = client.ask("x" * 70 * 1024)
    assert answer["error"]["code"] == "MESSAGE_TOO_LARGE"
    client.assert_nothing_came()


def test_message_of_2_mib(server: Server) -> None:
    """Over the hard limit of the server: the connection is closed, and says why."""
    client = server.connect()
    client.send("x" * (2 << 20))
    assert client.receive_close()[0] == 1009


def test_more_messages_than_allowed(start_server: StartServer) -> None:
    """Refused with the request id; a client that goes on and on is closed with 3501."""
    server = start_server(CHATROOM_RATE_LIMIT="20")
    client, patient = server.connect(), server.connect()
    messages = [{"type": "ping", "request_id": str(number)} for number in range(400)]
    client.send_all(messages[:100])
    answers = [client.receive() for _ in range(100)]
    assert [answer["request_id"] for answer in answers] == [str(number) for number in range(100)]
    assert {answer["type"] for answer in answers[:20]} == {"pong"}
    assert answers[-1]["error"]["code"] == "RATE_LIMITED"
    client.send_all(messages)
    assert client.receive_close() == (3501, "bad request")
    assert patient.ask(type="ping")["type"] == "pong"


@pytest.mark.parametrize("data", [b"\xff\xfe", b'{"type":"ping"}\xc3', b"\xed\xa0\x80"])
def test_invalid_utf8(server: Server, data: bytes) -> None:
    """RFC 6455 §8.1 asks for a failed connection: close code 1007."""
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
        b"\x80\x80\0\0\0\0",  # continuation of nothing
    ],
)
def test_broken_frame(server: Server, data: bytes) -> None:
    """A violation of the WebSocket protocol itself: close code 1002 (RFC 6455 §7.4.1)."""
    client = server.connect()
    client.send_bytes(data)
    assert client.receive_close()[0] == 1002


def test_fragmented_message(server: Server) -> None:
    """A command may come in several frames."""
    client = server.connect()
    client.send_bytes(b"\x01\x87\0\0\0\0" + b'{"type"' + b"\x80\x88\0\0\0\0" + b':"ping"}')
    assert client.receive()["type"] == "pong"


@pytest.mark.parametrize("path", ["/", "/ws/", "/wss", "/ws/orders", "/%00"])
def test_other_paths_are_refused(server: Server, path: str) -> None:
    """The handshake fails with HTTP 403, as Channels does it."""
    with pytest.raises(InvalidStatus):
        server.connect(path=path)


def test_garbage_instead_of_http(server: Server) -> None:
    """Bytes that are no request end with the connection, and nothing else."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"\x16\x03\x01\x00\xff\x00\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass
    assert server.request("GET", "/health")[0] == 200


def test_half_a_frame_and_gone(server: Server) -> None:
    """A client that leaves in the middle of a frame has left."""
    client: Client = server.connect()
    client.ask(type="ping")
    client.send_bytes(b"\x81\xfe\xff\xff\0\0\0\0{")
    client.reset()
    while server.request("GET", "/health")[1]["clients"]:
        pass
