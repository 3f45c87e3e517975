"""What a client must not send: it is told so, and nobody else notices, the log least of all."""

import json
import socket
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode

from tests.live.client import UUID, Client
from tests.live.server import Server

DEEP = 60_000


def command(**fields: Any) -> str:
    """Return a command as JSON."""
    return json.dumps(fields)


def publish(**message: Any) -> str:
    """Return a publish command with this message."""
    return command(type="publish", topic="t", message=message)


def subscribe_with(last_n: str) -> str:
    """Return a subscribe command with this text as the number."""
    return f'{{"type":"subscribe","topic":"t","last_n":{last_n}}}'


TOPIC_RULE = "topic must be 1 to 128 printable characters without white space or /"
REQUEST_ID_RULE = "request_id must be a string of at most 128 characters"
LAST_N_RULE = "last_n must be an integer of at least 0"
KNOWN_TYPES = "known types are subscribe, unsubscribe, publish, ping"

BAD_MESSAGES = {
    "not JSON": ("hello", "message is not valid JSON: "),
    "empty": ("", "message is not valid JSON: "),
    "cut short": ('{"type":"ping"', "message is not valid JSON: "),
    "two values": ('{"type":"ping"} {}', "message is not valid JSON: "),
    "array": ('["ping"]', "message must be a JSON object"),
    "string": ('"ping"', "message must be a JSON object"),
    "null": ("null", "message must be a JSON object"),
    "deep": ("[" * DEEP, "message is nested too deeply"),
    "deep, closed": ("[" * (DEEP // 2) + "]" * (DEEP // 2), "message is nested too deeply"),
    "deep payload": (
        '{"type":"publish","topic":"t","message":{"id":"%s","payload":%s}}'
        % (UUID, "[" * 30_000 + "]" * 30_000),
        "message is nested too deeply",
    ),
    "bad escape in payload": (
        '{"type":"publish","topic":"t","message":{"id":"%s","payload":"\\q"}}' % UUID,
        "message is not valid JSON: ",
    ),
    "control character in payload": (
        '{"type":"publish","topic":"t","message":{"id":"%s","payload":"a\nb"}}' % UUID,
        "message is not valid JSON: ",
    ),
    "no type": ("{}", f"type is required; {KNOWN_TYPES}"),
    "unknown type": (command(type="shout"), f"unknown type; {KNOWN_TYPES}"),
    "type of a wrong type": (command(type=["ping"]), f"unknown type; {KNOWN_TYPES}"),
    "type that the server sends": (command(type="event"), f"unknown type; {KNOWN_TYPES}"),
    "no topic": (command(type="subscribe"), "topic is required"),
    "topic is null": (command(type="subscribe", topic=None), "topic is required"),
    "topic is a number": (command(type="unsubscribe", topic=5), "topic must be a string"),
    "topic empty": (command(type="subscribe", topic=""), TOPIC_RULE),
    "topic too long": (command(type="subscribe", topic="x" * 129), TOPIC_RULE),
    "topic with a space": (command(type="subscribe", topic="a b"), TOPIC_RULE),
    "topic with a no-break space": (command(type="unsubscribe", topic="a\u00a0b"), TOPIC_RULE),
    "topic with a slash": (
        command(type="publish", topic="a/b", message={"id": UUID, "payload": 1}),
        TOPIC_RULE,
    ),
    "topic with a control character": (command(type="subscribe", topic="a\x00"), TOPIC_RULE),
    "topic with half a pair": ('{"type":"subscribe","topic":"\\ud800"}', TOPIC_RULE),
    "no message": (command(type="publish", topic="t"), "message is required"),
    "message is a string": (
        command(type="publish", topic="t", message="hi"),
        "message must be an object",
    ),
    "no id": (publish(payload=1), "message.id is required"),
    "id is a number": (publish(id=1, payload=1), "message.id must be a valid UUID"),
    "id is no UUID": (publish(id="570t8400", payload=1), "message.id must be a valid UUID"),
    "id without hyphens": (
        publish(id=UUID.replace("-", ""), payload=1),
        "message.id must be a valid UUID",
    ),
    "id in braces": (publish(id=f"{{{UUID}}}", payload=1), "message.id must be a valid UUID"),
    "id with a newline": (publish(id=f"{UUID}\n", payload=1), "message.id must be a valid UUID"),
    "no payload": (publish(id=UUID), "message.payload is required"),
    "last_n negative": (subscribe_with("-1"), LAST_N_RULE),
    "last_n is a fraction": (subscribe_with("1.5"), LAST_N_RULE),
    "last_n is a string": (subscribe_with('"5"'), LAST_N_RULE),
    "last_n is true": (subscribe_with("true"), LAST_N_RULE),
    "last_n is null": (subscribe_with("null"), LAST_N_RULE),
    "last_n is a negative 30-digit integer": (subscribe_with("-" + "9" * 30), LAST_N_RULE),
    "last_n is NaN": (subscribe_with("NaN"), "message is not valid JSON: NaN"),
    "last_n is Infinity": (subscribe_with("Infinity"), "message is not valid JSON: Infinity"),
    "request_id is a number": (command(type="ping", request_id=1), REQUEST_ID_RULE),
    "request_id is null": (command(type="ping", request_id=None), REQUEST_ID_RULE),
    "request_id too long": (command(type="ping", request_id="x" * 129), REQUEST_ID_RULE),
    "request_id with half a pair": ('{"type":"ping","request_id":"\\ud800"}', REQUEST_ID_RULE),
}


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
