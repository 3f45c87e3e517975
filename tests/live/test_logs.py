"""The log of a real server: its form, its events, and what is never in it."""

import json
import re
import socket
from collections import Counter
from contextlib import closing
from typing import Any

import pytest
from websockets.exceptions import InvalidHandshake
from websockets.frames import Opcode

from tests.live.conftest import StartServer
from tests.live.server import DAPHNE, RUNSERVER, UVICORN, Server
from tests.live.waiting import PATIENCE

HOSTS = {"DJANGO_ALLOWED_HOSTS": "localhost,127.0.0.1"}
SECRET = "s3cr3t-0paque"  # the test's own


def lines(server: Server) -> list[dict[str, Any]]:
    """Return the lines of the log, each of which must be JSON."""
    return [json.loads(line) for line in server.log().splitlines()]


def events(server: Server, name: str) -> list[dict[str, Any]]:
    """Return the lines of one event."""
    return [line for line in lines(server) if line["event"] == name]


def handshake(port: int, *headers: bytes, path: bytes = b"/ws") -> socket.socket:
    """Open a WebSocket with headers as they are; return its socket once there is an answer."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    standard = (
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
    )
    raw.sendall(b"\r\n".join([b"GET %s HTTP/1.1" % path, *standard, *headers, b"\r\n"]))
    assert raw.recv(12).startswith(b"HTTP/1.1 ")
    return raw


@pytest.mark.parametrize("command", [DAPHNE, UVICORN])
def test_json(start_server: StartServer, command: tuple[str, ...]) -> None:
    """Every line is JSON, from the first to the last, whoever wrote it."""
    server = start_server(*command, CHATROOM_LOG_FORMAT="json")
    server.create_topic("t")
    assert server.connect().ask(type="ping")["type"] == "pong"
    server.request("GET", "/nothing?token=x")
    server.reset_clients()
    assert server.stop() in (0, -15)
    for line in lines(server):
        assert {"timestamp", "level", "event", "logger"} <= line.keys()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
        assert line["level"] == "info"
    loggers = {line["logger"].split(".")[0] for line in lines(server)}
    assert loggers == ({"pubsub", "daphne"} if command is DAPHNE else {"pubsub", "uvicorn"})
    (started,) = events(server, "server_started")
    assert started["max_topics"] == 10_000
    assert lines(server)[0] == started or command is UVICORN
    assert len(events(server, "server_stopped")) == 1
    requests = [
        (line["method"], line["path"], line["status"]) for line in events(server, "http_request")
    ]
    assert requests == [("POST", "/topics", 201), ("GET", "/nothing", 404)]


def test_console_of_the_development_server(start_server: StartServer) -> None:
    """The lines of `runserver` have the same form, and a client's mistake is no warning."""
    server = start_server(*RUNSERVER)
    server.request("GET", "/nothing?token=x")
    assert " INFO     http_request method=GET path=/nothing status=404 " in server.log()


def test_flood_of_refusals(start_server: StartServer) -> None:
    """Refusals are logged with their reason, ten a second at most, and all of them are counted."""
    server = start_server(CHATROOM_LOG_FORMAT="json", **HOSTS)
    for _ in range(60):
        with pytest.raises(InvalidHandshake):
            server.connect(origin="http://evil.example")
    assert server.stop() == 0
    refusals = events(server, "client_refused")
    first = refusals[0]
    assert (first["reason"], first["address"], first["origin"]) == (
        "origin",
        "127.0.0.1",
        "http://evil.example",
    )
    left_out = [*refusals, *events(server, "events_suppressed")]
    assert len(refusals) + sum(line.get("suppressed", 0) for line in left_out) == 60
    a_second = Counter(line["timestamp"][:19] for line in refusals)
    # Any second has at most ten, so one of the clock's has no more than two times as many.
    assert max(a_second.values()) <= 20


def test_slow_consumer(start_server: StartServer) -> None:
    """The first loss of a connection is logged once, and so is its end."""
    server = start_server(
        CHATROOM_LOG_FORMAT="json", CHATROOM_QUEUE_SIZE="1", CHATROOM_OVERFLOW="disconnect"
    )
    server.create_topic("t")
    slow = server.connect(receive_buffer=4096)
    slow.ask(type="subscribe", topic="t")
    publisher = server.connect()
    payload = "x" * 60_000
    while not events(server, "client_closed"):
        publisher.publish("t", payload)
    (line,) = events(server, "slow_consumer")
    (closed,) = events(server, "client_closed")
    assert (closed["code"], closed["reason"]) == (3008, "slow")
    assert closed["client_id"] == line["client_id"]
    assert line["address"] == "127.0.0.1"
    assert payload[:100] not in server.log()


def dropped(server: Server) -> int:
    """Return the number of events that clients have lost."""
    number: int = server.request("GET", "/stats")[1]["totals"]["dropped"]
    return number


def test_slow_consumer_that_stays(start_server: StartServer) -> None:
    """A client that loses events again and again has one line."""
    server = start_server(CHATROOM_LOG_FORMAT="json", CHATROOM_QUEUE_SIZE="1")
    server.create_topic("t")
    slow = server.connect(receive_buffer=4096)
    slow.ask(type="subscribe", topic="t")
    publisher = server.connect()
    for _ in range(2):
        losses = dropped(server)
        while dropped(server) == losses:
            publisher.publish("t", "x" * 60_000)
        while slow.receive()["type"] != "error":
            pass
    assert len(events(server, "slow_consumer")) == 1
    assert events(server, "client_closed") == []


def test_violation_of_the_protocol(start_server: StartServer) -> None:
    """A close by the server is logged with its code, and one by the client is not."""
    server = start_server(CHATROOM_LOG_FORMAT="json")
    bad, good = server.connect(), server.connect()
    bad.send_bytes(b"\x83\x80abcd")
    assert bad.receive_close()[0] == 1002
    good.send_bytes(b"\x88\x82\0\0\0\0\x0b\xc0")  # 3008
    good.receive_close()
    (closed,) = events(server, "client_closed")
    assert closed["code"] == 1002


@pytest.mark.parametrize(("style", "verbosity"), [("json", "1"), ("console", "3")])
def test_no_secret(style: str, verbosity: str) -> None:
    """No token and no key is logged, wherever a client puts it and however much is logged."""
    server = Server(*DAPHNE, "-v", verbosity, CHATROOM_LOG_FORMAT=style, **HOSTS)
    with closing(server):
        put_secrets_everywhere(server)
        assert server.stop() == 0
        assert SECRET not in server.log()
        assert "/nothing" in server.log()


def put_secrets_everywhere(server: Server) -> None:
    """Send the secret in each place where a client could put one, by mistake or not."""
    secret = SECRET.encode()
    headers = (
        b"Authorization: Bearer " + secret,
        b"X-API-Key: " + secret,
        b"Sec-WebSocket-Protocol: chatroom.v1, chatroom.bearer." + secret,
    )
    for path in (b"/ws?token=" + secret, b"/nothing?api_key=" + secret):
        for more in ((), (b"Origin: http://evil.example",)):
            handshake(server.port, *headers, *more, path=path).close()
    client = server.connect()
    client.ask(type="auth", token=SECRET)
    client.publish("nowhere", SECRET)
    client.ask("{" + SECRET)
    client.send_frame(Opcode.TEXT, secret + b"\xff")
    assert client.receive_close()[0] == 1007
    server.request("GET", f"/nothing?key={SECRET}")
    server.request("POST", "/topics", {"name": "t", "token": SECRET})


def test_nothing_can_be_forged(start_server: StartServer) -> None:
    """Control characters from clients are escaped, so each line was written by the server."""
    server = start_server(**HOSTS)
    for escape in (b"\x1b", b"\x9b", b"\xc2\x9b"):
        forged = b"http://evil.example/%s[2J 2030-01-01 00:00:00.000 INFO forged" % escape
        for path in (b"/ws", b"/%0a%1b[2Jforged", b"/ws%0d%0aforged", b"/ws?%0aforged"):
            headers = (b"Origin: " + forged, b"User-Agent: " + forged)
            handshake(server.port, *headers, path=path).close()
    assert server.stop() == 0
    log = server.log()
    assert (
        r'client_refused reason=origin address=127.0.0.1 origin="http://evil.example/\\x1b[2J 2030-'
        in log
    )
    for line in log.splitlines():
        assert line.isprintable()
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} INFO ", line)
        assert not line.startswith("2030")
