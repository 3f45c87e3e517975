"""nginx and Caddy with the configurations of `deploy/`, in front of a real server."""

import http.client
import json
import os
import re
import signal
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.frames import Opcode

from pubsub.core.configuration import Configuration
from tests.deploy.conftest import StartProxy
from tests.deploy.proxies import DEPLOY, Proxy
from tests.deploy.upstream import Upstream
from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import Server

both = pytest.mark.parametrize("kind", ["nginx", "caddy"], indirect=True)

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
READ_TIMEOUT = "proxy_read_timeout  75s;"


def headers_of(proxy: Proxy, path: str, **headers: str) -> dict[str, list[str]]:
    """Return the headers that the upstream got, each with all of its values."""
    received: dict[str, list[str]] = {}
    for name, value in proxy.request("GET", path, **headers).json()["headers"]:
        received.setdefault(name, []).append(value)
    return received


def create(proxy: Proxy, topic: str) -> str:
    """Create a topic through the proxy."""
    assert proxy.request("POST", "/topics", json.dumps({"name": topic}).encode()).status == 201
    return topic


def receive_pings(client: Client, number: int) -> None:
    """Wait for pings, which must be the only frames."""
    for _ in range(number):
        assert client.receive_frame().opcode is Opcode.PING


@both
def test_messages_pass(server: Server, start_proxy: StartProxy) -> None:
    """A message published over REST through the proxy reaches a WebSocket behind it unchanged."""
    proxy = start_proxy(server)
    create(proxy, "orders")
    client = proxy.connect()
    assert client.ask(type="subscribe", topic="orders")["type"] == "ack"
    body = b'{"id":"%s","payload":{"amount":99.50}}' % UUID.encode()
    assert proxy.request("POST", "/topics/orders/messages", body).json()["subscribers"] == 1
    assert '"payload":{"amount":99.50}' in client.receive_text()


@both
def test_subprotocol_passes(server: Server, start_proxy: StartProxy) -> None:
    """The subprotocol is selected if the client offers it, and no other is added."""
    proxy = start_proxy(server)
    client = proxy.connect(subprotocols=["chatroom.v1", "chatroom.bearer.x"])
    assert client.subprotocol == "chatroom.v1"
    assert proxy.connect().subprotocol is None


@both
def test_origins_are_compared(start_server: StartServer, start_proxy: StartProxy) -> None:
    """The site's own pages may connect through the proxy, and those of other hosts may not."""
    proxy = start_proxy(start_server(DJANGO_ALLOWED_HOSTS="localhost,127.0.0.1"))
    own = f"https://127.0.0.1:{proxy.port}"
    assert proxy.connect(origin=own).ask(type="ping")["type"] == "pong"
    with pytest.raises(InvalidStatus) as refused:
        proxy.connect(origin="https://evil.example")
    assert refused.value.response.status_code == 403


@both
@pytest.mark.parametrize("headers", [{}, HANDSHAKE], ids=["request", "handshake"])
def test_client_cannot_forge_its_address(
    start_proxy: StartProxy, upstream: Upstream, headers: dict[str, str]
) -> None:
    """The server gets the address and the scheme that the proxy saw, and the client's own Host."""
    proxy = start_proxy(upstream)
    forged = {"X_Forwarded_For": "203.0.113.7", "X_Forwarded_Proto": "http"}
    received = headers_of(proxy, "/ws", **headers, **forged)
    assert received["x-forwarded-for"] == ["127.0.0.1"]
    assert received["x-forwarded-proto"] == ["https"]
    assert received["host"] == [f"localhost:{proxy.port}"]
    assert [value.lower() for value in received.get("upgrade", [])] == ["websocket"] * bool(headers)


@both
def test_addresses_are_those_of_the_clients(
    start_server: StartServer, start_proxy: StartProxy
) -> None:
    """A limit for an address counts the proxy's clients, whatever they say about themselves."""
    server = start_server(
        CHATROOM_TRUSTED_PROXIES="127.0.0.1", CHATROOM_MAX_CONNECTIONS_PER_ADDRESS="1"
    )
    proxy = start_proxy(server)
    first = proxy.connect()
    assert first.ask(type="ping")["type"] == "pong"
    forged = {"X-Forwarded-For": "203.0.113.7"}
    assert proxy.connect(headers=forged).receive_close() == (3504, "connection limit")
    assert server.connect(headers=forged).ask(type="ping")["type"] == "pong"


def test_only_websockets_are_upgraded(start_proxy: StartProxy, upstream: Upstream) -> None:
    """An upgrade to another protocol does not reach the server."""
    received = headers_of(start_proxy(upstream), "/", Connection="Upgrade", Upgrade="h2c")
    assert "upgrade" not in received
    assert "connection" not in received


@both
def test_connections_to_the_server_are_kept(start_proxy: StartProxy, upstream: Upstream) -> None:
    """Requests of different clients share a connection to the server."""
    proxy = start_proxy(upstream)
    connections = {proxy.request("GET", "/topics").json()["connection"] for _ in range(3)}
    assert len(connections) == 1


@both
def test_server_refuses_large_bodies(server: Server, start_proxy: StartProxy) -> None:
    """Up to the proxy's limit, bodies are the server's matter, and its error passes."""
    proxy = start_proxy(server)
    for size in (100_000, 1_900_000):
        answer = proxy.request("POST", "/topics", b" " * size)
        assert answer.status == 413
        assert answer.json()["error"]["message"] == "request body exceeds 65536 bytes"
    largest = b'{"name":"orders"}'.ljust(Configuration().max_message_bytes)
    assert proxy.request("POST", "/topics", largest).status == 201


@both
def test_proxy_refuses_larger_bodies(
    kind: str, start_proxy: StartProxy, upstream: Upstream
) -> None:
    """A body over the proxy's own limit gets the same kind of error."""
    answer = start_proxy(upstream).request("POST", "/topics", b" " * 2_200_000)
    assert answer.status == 413
    assert answer.json()["error"]["code"] == "MESSAGE_TOO_LARGE"
    if kind == "nginx":  # Caddy counts while it passes the body on
        assert upstream.requests == []


@both
def test_events_are_not_buffered(start_proxy: StartProxy, upstream: Upstream) -> None:
    """Each server-sent event arrives before the server sends the next."""
    connection = start_proxy(upstream).open()
    connection.request("GET", "/events")
    events = [b"event: ack\ndata: %d\n\n" % number for number in range(3)]
    upstream.stream.put(events[0])
    response = connection.getresponse()
    assert read_event(response) == events[0]
    for event in events[1:]:
        upstream.stream.put(event)
        assert read_event(response) == event
    upstream.stream.put(None)
    assert response.read() == b""
    connection.close()


@both
def test_streams_of_the_server(start_server: StartServer, start_proxy: StartProxy) -> None:
    """The server's own streams arrive event by event, and the proxy notices their end."""
    server = start_server()
    server.create_topic("t")
    connection = start_proxy(server).open()
    connection.request("GET", "/events?topic=t")
    response = connection.getresponse()
    assert read_event(response).startswith(b"event: ack\n")
    for number in range(3):
        server.request("POST", "/topics/t/messages", {"payload": number})
        assert b'"payload":%d' % number in read_event(response)
    server.request("DELETE", "/topics/t")
    assert read_event(response).startswith(b"event: info\n")
    assert response.read() == b": 1000 no topic left\n\n"
    connection.close()


def read_event(response: http.client.HTTPResponse) -> bytes:
    """Read up to the empty line that ends an event."""
    event = b""
    while not event.endswith(b"\n\n"):
        line = response.readline()
        assert line, event
        event += line
    return event


@both
def test_slow_client_loses_only_its_own(start_server: StartServer, start_proxy: StartProxy) -> None:
    """Backpressure passes through the proxy: it does not collect what a client does not read."""
    server = start_server(CHATROOM_QUEUE_SIZE="4")
    proxy = start_proxy(server)
    server.create_topic("t")
    stalled = proxy.connect(receive_buffer=4096)
    stalled.ask(type="subscribe", topic="t")
    publisher = server.connect()
    for _ in range(40):  # 100 MB at most
        for _ in range(50):
            publisher.publish("t", "x" * 50_000)
        if server.request("GET", "/stats")[1]["topics"]["t"]["dropped"]:
            break
    else:
        pytest.fail("the proxy took everything")
    message = stalled.receive()
    while message["type"] == "event":
        message = stalled.receive()
    assert message["error"]["code"] == "SLOW_CONSUMER"


@both
def test_stop_is_announced(start_server: StartServer, start_proxy: StartProxy) -> None:
    """A client behind the proxy gets the close code of a stop, and requests then get JSON."""
    server = start_server()
    proxy = start_proxy(server)
    client = proxy.connect()
    client.ask(type="ping")
    server.send_signal(signal.SIGTERM)
    assert client.receive_close() == (3001, "shutdown")
    error: dict[str, str] = {}
    while error.get("message") != "the server cannot be reached":  # until the port is closed
        answer = proxy.request("GET", "/topics")
        assert answer.status == 503
        error = answer.json()["error"]
        assert error["code"] == "UNAVAILABLE"


def test_plain_http_leads_to_tls(start_proxy: StartProxy, upstream: Upstream) -> None:
    """A request without TLS is redirected with its method and path."""
    connection = http.client.HTTPConnection("localhost", start_proxy(upstream).plain_port)
    connection.request("POST", "/topics?a=b", b"{}")
    response = connection.getresponse()
    assert response.status == 308
    assert response.headers["Location"] == "https://localhost/topics?a=b"
    connection.close()


def test_quiet_connection_stays_open(start_server: StartServer, start_proxy: StartProxy) -> None:
    """The server's pings keep a quiet connection open for longer than nginx waits for data."""
    server = start_server(CHATROOM_PING_INTERVAL="0.25")
    client = start_proxy(server, {READ_TIMEOUT: "proxy_read_timeout 3s;"}).connect()
    receive_pings(client, 14)
    client.assert_nothing_came()


@pytest.mark.skipif(
    os.environ.get("CHATROOM_TEST_LONG") != "true",
    reason="takes three minutes; CHATROOM_TEST_LONG=true runs it",
)
@both
def test_quiet_connection_stays_open_for_three_minutes(
    start_server: StartServer, start_proxy: StartProxy
) -> None:
    """With the settings as they are, a quiet connection stays open for three minutes."""
    client = start_proxy(start_server()).connect()
    client.set_timeout(60)
    receive_pings(client, 9)
    client.assert_nothing_came()


def test_time_limits_agree_with_the_server() -> None:
    """In nginx, each wait is longer than the server's pings and its limit for slow clients."""
    text = (DEPLOY / "nginx" / "chatroom.conf").read_text()
    limits: dict[str, Any] = dict(re.findall(r"^ +(\w+_timeout) +(\d+)s;", text, re.MULTILINE))
    server = Configuration()
    assert int(limits["proxy_read_timeout"]) > 2 * server.ping_interval
    assert int(limits["proxy_send_timeout"]) > server.write_timeout
    assert int(limits["send_timeout"]) > server.write_timeout
