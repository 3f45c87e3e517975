"""``GET /events``: server-sent events carry what a WebSocket carries."""

import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.frames import Opcode

from tests.live.client import UUID
from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection, get
from tests.live.server import UVICORN, Server, running_server
from tests.live.waiting import wait_until

MB = 1_000_000
ORIGIN = "https://app.example"
WRAPPED = ("-m", "daphne", "-p", "0", "tests.live.host.wrapped:application")


def publish(server: Server, topic: str, *payloads: Any) -> None:
    """Publish messages over REST."""
    for payload in payloads:
        path = f"/topics/{topic}/messages"
        assert server.request("POST", path, {"payload": payload})[0] == 200


def health(server: Server) -> tuple[int, int]:
    """Return the numbers of clients and of subscriptions."""
    figures = server.request("GET", "/health")[1]
    return figures["clients"], figures["subscribers"]


def until_gone(server: Server) -> None:
    """Wait until the server has no client."""
    wait_until(lambda: health(server) == (0, 0), lambda: health(server))


# --- What a stream carries ---


def check_against_a_websocket(server: Server) -> None:
    """Check that a stream is acknowledged, and carries the very JSON of a WebSocket."""
    server.create_topic("t")
    subscriber, publisher = server.subscriber("t"), server.connect()
    stream = server.stream("t")
    assert stream.status == 200
    assert stream.headers["Content-Type"] == "text/event-stream"
    assert stream.headers["Cache-Control"] == "no-store"
    assert stream.headers["X-Accel-Buffering"] == "no"
    ack = stream.receive()
    assert ack is not None
    assert (ack.type, ack.id) == ("ack", None)
    assert list(ack.data) == ["type", "topic", "status", "ts", "client_id"]
    command_text = '{"type":"publish","topic":"t","message":{"id":"%s","payload":%s}}'
    for payload in ("99.50", '{"b":1,"a":123456789012345678901234567890,"b":2}', '"line\\n"'):
        publisher.send_frame(Opcode.TEXT, (command_text % (UUID, payload)).encode())
        event = stream.receive()
        assert event is not None
        assert (event.type, event.id) == ("event", None)
        assert event.text == subscriber.receive_text()
        assert f'"payload":{payload}' in event.text


def test_same_as_on_a_websocket(server: Server) -> None:
    """A stream carries the very JSON of a WebSocket."""
    check_against_a_websocket(server)


def test_line_breaks(server: Server) -> None:
    """Line breaks between the tokens of a payload become line breaks of the data."""
    server.create_topic("t")
    stream = server.stream("t")
    stream.receive()
    body = b'{"payload":{\n"a":1,\r"b":2,\r\n"c":"\\r\\n"}}'
    server.request("POST", "/topics/t/messages", body)
    event = stream.receive()
    assert event is not None
    assert '"payload":{\n"a":1,\n"b":2,\n"c":"\\r\\n"}' in event.text
    assert event.data["message"]["payload"] == {"a": 1, "b": 2, "c": "\r\n"}


def test_several_topics(server: Server) -> None:
    """All acknowledgements come first; topics named twice are one; a stream ends with its last."""
    for topic in ("a", "b", "other"):
        server.create_topic(topic)
    stream = server.stream("b", "a", "b")
    acks = [stream.receive(), stream.receive()]
    assert [ack and (ack.type, ack.data["topic"]) for ack in acks] == [("ack", "b"), ("ack", "a")]
    assert health(server) == (1, 2)
    publish(server, "other", 0)
    publish(server, "a", 1)
    publish(server, "b", 2)
    assert stream.payloads(2) == [1, 2]
    server.request("DELETE", "/topics/b")
    publish(server, "a", 3)
    server.request("DELETE", "/topics/a")
    *events, comment = stream.receive_rest()
    assert [(event.type, event.data["topic"]) for event in events] == [
        *(("info", "b"), ("event", "a"), ("info", "a")),
    ]
    assert events[-1].data["msg"] == "topic_deleted"
    assert (comment.type, comment.text) == ("", "1000 no topic left")
    until_gone(server)


@pytest.mark.parametrize("as_header", [True, False])
def test_recovery(server: Server, as_header: bool) -> None:
    """A client that returns its last id misses nothing; a browser's header wins over the URL."""
    for topic in ("a", "b"):
        server.create_topic(topic, history=10)
    stream = server.stream("a", "b", last_n=5)
    ids = [ack.id for ack in (stream.receive(), stream.receive()) if ack]
    publish(server, "a", 1)
    publish(server, "b", 2)
    publish(server, "a", 3)
    events = [event for event in (stream.receive() for _ in range(3)) if event]
    offsets = [[part.partition(":")[2] for part in (event.id or "").split(",")] for event in events]
    assert offsets == [["1", "0"], ["1", "1"], ["2", "1"]]
    stream.close()
    publish(server, "b", 4, 5)
    last = events[1].id
    again = (
        server.stream("a", "b", headers={"Last-Event-ID": str(last)}, last_event_id=ids[0])
        if as_header
        else server.stream("a", "b", last_event_id=last)
    )
    acks = [ack for ack in (again.receive(), again.receive()) if ack]
    assert [(ack.data["recovered"], ack.data["replayed"]) for ack in acks] == [(True, 1), (True, 2)]
    assert [ack.id for ack in acks] == [last, last]  # nothing is replayed yet
    assert again.payloads(3) == [3, 4, 5]
    publish(server, "a", 6)
    assert again.payloads(1) == [6]


def test_nothing_to_recover_from(server: Server) -> None:
    """Garbage in the header, which no browser can change, another epoch or the future: false."""
    server.create_topic("kept", history=10)
    server.create_topic("plain")
    publish(server, "kept", 1)
    epoch = server.stream("kept").receive().data["epoch"]  # type: ignore[union-attr]
    for header in ("garbage", "x9Qa71Bz:0", f"{epoch}:2", f"{epoch}:-1", f"{epoch}:{10**15}", "é"):
        stream = server.stream("kept", "plain", headers={"Last-Event-ID": header}, last_n=1)
        kept, plain = stream.receive(), stream.receive()
        assert kept is not None
        assert plain is not None
        assert kept.data["recovered"] is plain.data["recovered"] is False, header
        assert "epoch" not in plain.data
        assert stream.payloads(1) == [1]


def test_own_messages_are_not_recovered(server: Server) -> None:
    """A client that names its former id does not recover what it has published itself."""
    server.create_topic("t", history=10)
    client = server.connect()
    former = client.ask(type="subscribe", topic="t")
    client.publish("t", "own")
    publish(server, "t", "other")
    since = f"{former['epoch']}:0"
    headers = {"X-Client-Id": former["client_id"]}
    stream = server.stream("t", headers=headers, last_event_id=since)
    ack = stream.receive()
    assert ack is not None
    assert ack.data["replayed"] == 1
    assert stream.payloads(1) == ["other"]


def test_crowd(start_server: StartServer) -> None:
    """1,000 streams and 1,000 WebSockets in one room get the same messages.

    A middleware that wraps `send` makes no difference.
    """
    # The clients of this test do not answer pings while others connect.
    server = start_server(*WRAPPED, CHATROOM_PING_INTERVAL="3600")
    server.create_topic("t")
    publisher = server.connect()
    subscribers = [server.subscriber("t") for _ in range(1000)]
    streams = [server.stream("t") for _ in range(1000)]
    assert health(server) == (2001, 2000)
    for number in range(3):
        publisher.publish("t", number)
    texts = [subscribers[0].receive_text() for _ in range(3)]
    for subscriber in subscribers[1:]:
        assert [subscriber.receive_text() for _ in range(3)] == texts
    for stream in streams:
        events = [stream.receive() for _ in range(4)]
        assert [event and event.text for event in events[1:]] == texts


def test_no_echo_over_rest(server: Server) -> None:
    """A publication with the id of a stream's client reaches everyone but this client."""
    server.create_topic("t", history=10)
    own, other = server.stream("t"), server.stream("t")
    ack = own.receive()
    assert ack is not None
    other.receive()
    headers = {"X-Client-Id": ack.data["client_id"]}
    path = "/topics/t/messages"
    assert server.request("POST", path, {"payload": 1}, headers=headers)[1]["subscribers"] == 1
    batch = {"messages": [{"topic": "t", "payload": 2}]}
    assert server.request("POST", "/messages", batch, headers=headers)[0] == 200
    publish(server, "t", 3)
    assert other.payloads(3) == [1, 2, 3]
    assert own.payloads(1) == [3]
    again = server.stream("t", headers=headers, last_event_id=ack.id)
    again.receive()
    assert again.payloads(1) == [3]


# --- Requests that are refused ---


@pytest.mark.parametrize(
    ("query", "status", "code", "message"),
    [
        ("", 400, "BAD_REQUEST", "topic is required"),
        ("topic=", 400, "BAD_REQUEST", "topic must be 1 to 128"),
        ("topic=a/b", 400, "BAD_REQUEST", "topic must be 1 to 128"),
        ("topic=missing", 404, "TOPIC_NOT_FOUND", "topic does not exist"),
        ("topic=t&topic=missing", 404, "TOPIC_NOT_FOUND", "topic does not exist"),
        ("topic=t&last_n=-1", 400, "BAD_REQUEST", "last_n must be an integer of at least 0"),
        ("topic=t&last_n=1.5", 400, "BAD_REQUEST", "last_n must be an integer of at least 0"),
        ("topic=t&last_n=%d" % 10**30, 400, "BAD_REQUEST", "last_n must be"),
        ("topic=t&last_event_id=x", 400, "BAD_REQUEST", "last_event_id must be the id of an event"),
        ("topic=t&last_event_id=x9:-1", 400, "BAD_REQUEST", "last_event_id must be"),
        ("topic=t" + "&a" * 1001, 400, "BAD_REQUEST", "the query has too many parameters"),
        ("&".join(f"topic=t{n}" for n in range(129)), 429, "LIMIT_EXCEEDED", "no more than 128"),
    ],
)
def test_bad_request(server: Server, query: str, status: int, code: str, message: str) -> None:
    """A bad request is answered in JSON, names the parameter, and subscribes to nothing."""
    server.create_topic("t")
    answered, headers, body = server.raw_request("GET", f"/events?{query}")
    assert (answered, body["error"]["code"]) == (status, code)
    assert body["error"]["message"].startswith(message)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert health(server) == (0, 0)


def test_methods(server: Server) -> None:
    """HEAD gets the headers alone; other methods are not allowed."""
    server.create_topic("t")
    status, headers, body = server.raw_request("POST", "/events?topic=t", {})
    assert (status, body["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert headers["Allow"] == "GET, HEAD"
    with RawConnection(server.port) as client:
        head = b"HEAD" + get("/events?topic=t", "Connection: close")[3:]
        client.sendall(head)
        answer = client.read_to_the_end()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Content-Type: text/event-stream" in answer
    assert answer.endswith(b"\r\n\r\n")
    assert health(server) == (0, 0)


def test_host_must_be_allowed(server: Server) -> None:
    """A page whose host name was rebound sends no `Origin`, and finds nothing."""
    server.create_topic("t")
    request = get("/events?topic=t", "Connection: close").replace(b"localhost", b"evil.example")
    with RawConnection(server.port) as client:
        client.sendall(request)
        assert client.read_error() == (400, "BAD_REQUEST", "host not allowed")


@pytest.fixture(scope="module")
def limited_server() -> Iterator[Server]:
    """A server with an allowed origin and low limits."""
    with running_server(
        CHATROOM_ALLOWED_ORIGINS=ORIGIN,
        CHATROOM_AUTO_CREATE_TOPICS="true",
        CHATROOM_MAX_CONNECTIONS_PER_ADDRESS="2",
        CHATROOM_MAX_SUBSCRIPTIONS="2",
        CHATROOM_WRITE_TIMEOUT="1",
    ) as server:
        yield server


@pytest.fixture
def limited(limited_server: Server) -> Iterator[Server]:
    """The server with low limits, without clients after each test."""
    yield limited_server
    limited_server.reset_clients()
    until_gone(limited_server)


def test_origins(limited: Server) -> None:
    """The list of origins decides which pages may read a stream; others are refused at once."""
    stream = limited.stream("t", headers={"Origin": ORIGIN})
    assert stream.status == 200
    assert stream.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert stream.headers["Vary"] == "Origin"
    _, headers, _ = limited.raw_request("GET", "/events", headers={"Origin": ORIGIN})
    assert headers["Access-Control-Allow-Origin"] == ORIGIN
    own = f"http://127.0.0.1:{limited.port}"
    assert limited.request("GET", "/events", headers={"Origin": own})[0] == 400
    other = limited.stream("t", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    assert other.error() == (403, "FORBIDDEN")
    metrics = limited.get_text("/metrics")
    assert 'chatroom_connections_refused_total{reason="origin"} 1.0' in metrics
    preflight = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    with RawConnection(limited.port) as client:
        lines = [f"{name}: {value}" for name, value in preflight.items()]
        client.sendall(b"OPTIONS" + get("/events?topic=t", *lines)[3:])
        response, _ = client.read_response()
    assert response.status == 204
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


def test_limits(limited: Server) -> None:
    """A stream counts as a connection in every limit and figure; 429 when one is reached."""
    server = limited
    assert server.stream("a", "b", "c").error() == (429, "LIMIT_EXCEEDED")
    streams = [server.stream("a"), server.stream("a", "b")]
    assert [stream.status for stream in streams] == [200, 200]
    assert server.stream("a").error() == (429, "LIMIT_EXCEEDED")
    metrics = server.get_text("/metrics")
    assert 'chatroom_connections_refused_total{reason="address"} 1.0' in metrics
    assert 'chatroom_clients{transport="sse"} 2.0' in metrics
    assert "client_refused reason=address address=127.0.0.1" in server.log()
    streams[0].close()
    wait_until(lambda: health(server) == (1, 2))
    assert server.stream("a").status == 200


# --- Slow readers ---


def flood(server: Server, topic: str, count: int, size: int) -> None:
    """Publish numbered messages of this size."""
    publisher = server.connect()
    for first in range(0, count, 100):
        numbers = range(first, min(first + 100, count))
        publisher.send_all([_publication(topic, {"n": n, "x": "x" * size}) for n in numbers])
        for _ in numbers:
            assert publisher.receive()["type"] == "ack"
    publisher.reset()


def _publication(topic: str, payload: Any) -> dict[str, Any]:
    return {"type": "publish", "topic": topic, "message": {"id": UUID, "payload": payload}}


def test_stalled_reader(server: Server) -> None:
    """A stalled reader costs little memory, and learns exactly what it has lost."""
    server.create_topic("warm-up")
    server.stream("warm-up")
    flood(server, "warm-up", 1000, 1024)
    server.create_topic("t")
    stalled = server.stream("t", receive_buffer=4096)
    before = server.memory()
    flood(server, "t", total := 20_000, 1024)
    assert server.memory() - before < 5 * MB
    publish(server, "t", {"n": total})
    expected = lost = 0
    stalled.receive()  # the acknowledgement
    while expected <= total:
        event = stalled.receive()
        assert event is not None
        if event.type == "error":
            assert event.data["error"]["code"] == "SLOW_CONSUMER"
            lost += event.data["dropped"]
            expected += event.data["dropped"]
            publish(server, "t", {"n": total})  # one that cannot be lost
        else:
            if event.data["message"]["payload"]["n"] == total:
                expected = max(expected, total)
            assert event.data["message"]["payload"]["n"] == expected
            expected += 1
    counters = server.request("GET", "/stats")[1]["topics"]["t"]
    assert counters["dropped"] == lost
    assert lost > total / 2


def test_write_timeout(limited: Server) -> None:
    """A reader that takes nothing for the write timeout is disconnected as slow."""
    stalled = limited.stream("slow", receive_buffer=4096)
    flood(limited, "slow", 500, 20_000)
    until_gone(limited)
    assert "client_closed code=3008 reason=slow" in limited.log()
    assert stalled.receive_rest()[-1].text == "3008 slow"


# --- Ends ---


def test_clients_that_leave(server: Server) -> None:
    """A client that half-closes, resets, or pipelines behind a stream leaves nothing behind."""
    server.create_topic("t")
    streams = [server.stream("t") for _ in range(3)]
    request = get("/health")
    streams[0].socket.sendall(request * 1000)  # discarded
    publish(server, "t", 1)
    streams[0].receive()
    assert streams[0].payloads(1) == [1]
    assert health(server) == (3, 3)
    streams[0].socket.shutdown(socket.SHUT_WR)
    assert streams[0].receive() is None
    linger = (1).to_bytes(4, "little") + bytes(4)
    streams[1].socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    for stream in streams[1:]:
        stream.close()
    until_gone(server)


def test_http_1_0(server: Server) -> None:
    """A client that speaks HTTP/1.0 gets the same text without chunks."""
    server.create_topic("t")
    with RawConnection(server.port) as client:
        client.sendall(get("/events?topic=t").replace(b"HTTP/1.1", b"HTTP/1.0"))
        wait_until(lambda: health(server) == (1, 1))
        server.request("DELETE", "/topics/t")
        head, _, body = client.read_to_the_end().partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    blocks = body.decode().split("\n\n")
    assert [block.partition("\n")[0] for block in blocks] == [
        *("event: ack", "event: info", ": 1000 no topic left", ""),
    ]


def test_drain(start_server: StartServer) -> None:
    """A draining server tells its streams when to come back, and takes no new ones."""
    server = start_server(CHATROOM_DRAIN_SECONDS="300", CHATROOM_AUTO_CREATE_TOPICS="true")
    stream = server.stream("t")
    server.send_signal(signal.SIGTERM)
    wait_until(lambda: server.request("GET", "/readyz")[0] == 503)
    status, _, body = server.raw_request("GET", "/events?topic=t")
    assert (status, body["status"], body["error"]["code"]) == (503, "draining", "UNAVAILABLE")
    server.send_signal(signal.SIGTERM)
    ack, info, comment = stream.receive_rest()
    assert ack.type == "ack"
    assert (info.type, info.data["msg"]) == ("info", "shutdown")
    assert info.data["reconnect_in_ms"] >= 500
    assert comment.text == "3001 shutdown"
    assert server.wait() == 0


def test_stop(start_server: StartServer) -> None:
    """A stop ends every stream after what is waiting in it."""
    server = start_server(CHATROOM_AUTO_CREATE_TOPICS="true")
    streams = [server.stream("t") for _ in range(100)]
    publish(server, "t", 1)
    assert server.stop() == 0
    for stream in streams:
        assert [event.type for event in stream.receive_rest()] == ["ack", "event", ""]


def test_uvicorn(start_server: StartServer) -> None:
    """On another server `send` is the flow control, and a reader that stalls loses no more."""
    server = start_server(*UVICORN)
    check_against_a_websocket(server)
    server.reset_clients()
    stalled = server.stream("t", receive_buffer=4096)
    flood(server, "t", 2000, 10_000)
    dropped = server.request("GET", "/stats")[1]["topics"]["t"]["dropped"]
    assert dropped > 0
    while True:
        event = stalled.receive()
        assert event is not None
        if event.type == "error":
            break
    assert event.data["dropped"] == dropped
    server.request("DELETE", "/topics/t")
    assert [event.type for event in stalled.receive_rest()][-2:] == ["info", ""]


def test_stop_of_uvicorn() -> None:
    """A server that gives a stop a limit ends every stream at that time, without a traceback."""
    limit = "--timeout-graceful-shutdown"
    server = Server(*UVICORN, limit, "0", CHATROOM_AUTO_CREATE_TOPICS="true")
    try:
        stream = server.stream("t")
        server.stop()
        ack, comment = stream.receive_rest()
        assert (ack.type, comment.text) == ("ack", "3001 shutdown")
        assert "Traceback" not in server.log()
    finally:
        server.close()
