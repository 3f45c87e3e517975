"""A server that runs out of file descriptors: whom it refuses, and that it recovers."""

import json
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.client import Client, Closed
from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection, get
from tests.live.server import Server

LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
sys.argv[1:] = ["-p", "0", "chatroom_project.asgi:application"]
runpy.run_module("daphne", run_name="__main__")
"""
"""Daphne with a soft limit of 64 descriptors, of which it needs about 20, and a hard one of 128."""


def fill(server: Server) -> list[Client]:
    """Connect WebSockets until one is refused; check how."""
    clients = []
    with pytest.raises(InvalidStatus) as refused:
        while True:
            clients.append(server.connect())
    response = refused.value.response
    assert response.status_code == 503
    assert json.loads(response.body)["error"] == {
        "code": "UNAVAILABLE",
        "message": "the server has too many open connections",
    }
    return clients


def connect_again(server: Server) -> Client:
    """Connect a WebSocket as soon as the server has noticed that others have left."""
    while True:
        try:
            return server.connect()
        except (InvalidStatus, Closed, ConnectionError):
            continue


def test_running_out_of_descriptors(start_server: StartServer) -> None:
    """WebSockets are refused first; those that are connected and HTTP work on."""
    server = start_server("-c", LIMITED)
    assert "(the soft limit was 64)" in server.log()
    server.create_topic("t")
    clients = fill(server)
    assert len(clients) > 64  # the soft limit does not count any more
    subscriber, publisher = clients[0], clients[-1]
    subscriber.ask(type="subscribe", topic="t")
    with RawConnection(server.port) as probe:
        probe.sendall(get("/readyz"))
        response, body = probe.read_response()
        assert (response.status, body) == (200, b'{"status":"ok"}')
        assert response.headers["Connection"] == "close"  # what is reserved is soon free again
        assert probe.read_to_the_end() == b""

    with ExitStack() as stack:
        # Connections that take even what is reserved: the last ones are closed at once. If they
        # were left in the queue of the kernel, the event loop would find them again and again.
        idle = [stack.enter_context(RawConnection(server.port)) for _ in range(64)]
        assert idle[-1].read_to_the_end() == b""
        assert publisher.publish("t", 1)["type"] == "ack"
        assert subscriber.receive()["message"]["payload"] == 1

    clients.pop().close()
    assert connect_again(server).publish("t", 2)["type"] == "ack"
    assert subscriber.receive()["message"]["payload"] == 2
    assert server.stop() == 0
