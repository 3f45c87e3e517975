"""A stop that is spread over some seconds, and what the probes say meanwhile."""

import json
import signal

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.client import Client, Closed
from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection, get
from tests.live.server import Server
from tests.live.waiting import wait_until

LONG = {"CHATROOM_DRAIN_SECONDS": "300"}
"""A drain that a test ends with a second signal."""


def begin_drain(server: Server) -> None:
    """Send SIGTERM, and wait until the server is draining."""
    server.send_signal(signal.SIGTERM)
    wait_until(lambda: server.request("GET", "/readyz") == (503, {"status": "draining"}))


def receive_shutdown(client: Client) -> int:
    """Receive the notice and the close frame after it; return the milliseconds to wait."""
    notice = client.receive()
    assert list(notice) == ["type", "msg", "reconnect_in_ms", "ts"]
    assert (notice["type"], notice["msg"]) == ("info", "shutdown")
    with pytest.raises(Closed) as closed:
        client.receive()
    assert (closed.value.code, closed.value.reason) == (3001, "shutdown")
    milliseconds: int = notice["reconnect_in_ms"]
    return milliseconds


def test_probes(server: Server) -> None:
    """A server that works is alive and ready, whatever host name the probe uses."""
    for path in ("/livez", "/readyz"):
        with RawConnection(server.port) as probe:
            for method in ("GET", "HEAD"):
                probe.sendall(
                    get(path, "Host: elsewhere.example").replace(b"GET", method.encode(), 1)
                )
                head = probe.recv(1 << 16)
                assert head.startswith(b"HTTP/1.1 200")
                assert head.endswith(b'{"status":"ok"}' if method == "GET" else b"\r\n\r\n")


def test_clients_leave_one_after_the_other(start_server: StartServer) -> None:
    """1,000 clients hear when to come back, in the order in which they came, and none is lost."""
    server = start_server(CHATROOM_DRAIN_SECONDS="3")
    clients = [server.connect() for _ in range(1000)]
    begin_drain(server)
    delays = [receive_shutdown(clients[0])]
    assert clients[-1].is_connected()
    assert not clients[-1].has_input()
    delays += [receive_shutdown(client) for client in clients[1:]]
    assert server.wait() == 0
    assert "server_drained clients=1000 " in server.log()
    # 500 a second, after half a second.
    assert {(delay - 500) // 250 for delay in delays} == set(range(8))


def test_server_works_during_the_drain(start_server: StartServer) -> None:
    """Publishing goes on, over REST as well, and only new clients are refused."""
    server = start_server(**LONG)
    server.create_topic("t")
    subscriber, publisher = server.subscriber("t"), server.connect()
    begin_drain(server)
    assert server.request("GET", "/livez") == (200, {"status": "ok"})
    assert server.request("GET", "/health")[1]["clients"] == 2
    assert server.request("POST", "/topics/t/messages", {"payload": 1})[1]["subscribers"] == 1
    assert publisher.publish("t", 2)["type"] == "ack"
    assert [subscriber.receive()["message"]["payload"] for _ in range(2)] == [1, 2]
    with pytest.raises(InvalidStatus) as refused:
        server.connect()
    response = refused.value.response
    assert response.status_code == 503
    assert json.loads(response.body) == {
        "status": "draining",
        "error": {"code": "UNAVAILABLE", "message": "the server is stopping"},
    }
    assert server.stop() == 0
    assert subscriber.receive_close() == (3001, "shutdown")


def test_drain_ends_with_the_last_client(start_server: StartServer) -> None:
    """Nobody waits for the rest of the time."""
    server = start_server(**LONG)
    clients = [server.connect() for _ in range(3)]
    begin_drain(server)
    for client in clients:
        client.close()
    assert server.wait() == 0


def test_slow_readers(start_server: StartServer) -> None:
    """One that reads late gets everything; one that never reads holds nothing up."""
    server = start_server(CHATROOM_DRAIN_SECONDS="2", CHATROOM_QUEUE_BYTES="16000000")
    server.create_topic("t")
    publisher = server.connect()
    slow, stuck = (server.connect(receive_buffer=4096) for _ in range(2))
    for client in (slow, stuck):
        client.ask(type="subscribe", topic="t")
    # More than the kernel keeps for a client that does not read.
    for number in range(200):
        publisher.publish("t", [number, "x" * 50_000])
    begin_drain(server)
    assert [slow.receive()["message"]["payload"][0] for _ in range(200)] == list(range(200))
    receive_shutdown(slow)
    receive_shutdown(publisher)
    assert server.wait() == 0
    stuck.reset()
