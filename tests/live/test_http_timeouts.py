"""Requests and handshakes on Daphne that are never complete."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.live.client import Client
from tests.live.raw_http import RawConnection, get, post
from tests.live.server import Server, running_server

TIMEOUT = 1.0
"""Seconds, as in CHATROOM_REQUEST_TIMEOUT."""

HANDSHAKE = get(
    "/ws",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One Daphne for all of these tests, which keeps a clean log."""
    with running_server(CHATROOM_REQUEST_TIMEOUT=str(TIMEOUT)) as server:
        yield server


@contextmanager
def dripping(connection: RawConnection, data: bytes) -> Iterator[None]:
    """Send a byte ten times a second while the block runs."""
    stopped = threading.Event()

    def drip() -> None:
        for position in range(len(data)):
            if stopped.wait(0.1):
                return
            try:
                connection.send(data[position : position + 1])
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def test_request_that_is_never_complete_is_answered_by_408(server: Server) -> None:
    """Whether it lacks a part of its head or of its body, and also when it drips in."""
    silent = [
        get("/health")[:-2],
        HANDSHAKE[:-2],
        post("/topics", "Content-Length: 100") + b"{",
        post("/topics", "Transfer-Encoding: chunked") + b"1\r\n{\r\n",
        get("/health") + get("/health")[:10],
    ]
    with ExitStack() as stack:
        connections = [stack.enter_context(RawConnection(server.port)) for _ in silent]
        for connection, data in zip(connections, silent, strict=True):
            connection.sendall(data)
        connections[-1].read_response()
        drips = stack.enter_context(RawConnection(server.port))
        drips.sendall(post("/topics", "Content-Length: 10000"))
        stack.enter_context(dripping(drips, b"x" * 1000))
        for connection in (*connections, drips):
            status, code, message = connection.read_error()
            assert (status, code) == (408, "BAD_REQUEST")
            assert message == f"the request was not complete within {TIMEOUT:g} seconds"


def test_connection_without_a_request_is_closed(server: Server) -> None:
    """Without an answer, since there is no question."""
    with RawConnection(server.port) as connection:
        assert connection.read_to_the_end() == b""


def test_connections_that_are_in_use_are_not_limited(server: Server) -> None:
    """A WebSocket stays, silent or not, and so does an HTTP connection between two requests."""
    websocket: Client = server.connect()
    with RawConnection(server.port) as kept, RawConnection(server.port) as unfinished:
        kept.sendall(get("/health"))
        kept.read_response()
        unfinished.sendall(HANDSHAKE[:-2])
        unfinished.read_error()  # a connection that was opened later has had its time
        kept.sendall(get("/health"))
        assert kept.read_response()[0].status == 200
    websocket.assert_nothing_came()
