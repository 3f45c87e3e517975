"""HTTP requests and handshakes on Daphne that are never completed."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.live.client import Client
from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection, get, post

TIMEOUT = "2"
"""Seconds."""

HANDSHAKE = get(
    "/ws",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@contextmanager
def dripping(connection: RawConnection, data: bytes) -> Iterator[None]:
    """Send ten bytes a second while the block runs."""
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


def test_incomplete_request_is_answered_with_408(start_server: StartServer) -> None:
    """An incomplete head or body is answered with 408, even if bytes keep arriving."""
    server = start_server(CHATROOM_REQUEST_TIMEOUT=TIMEOUT)
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
            assert message.startswith("the request was not complete within ")


def test_connection_without_a_request_is_closed(start_server: StartServer) -> None:
    """A connection on which no request arrives is closed without an answer."""
    server = start_server(CHATROOM_REQUEST_TIMEOUT=TIMEOUT)
    with RawConnection(server.port) as connection:
        assert connection.read_to_the_end() == b""


def test_connections_that_are_in_use_are_not_limited(start_server: StartServer) -> None:
    """The time limit applies neither to WebSockets nor to HTTP connections between requests."""
    server = start_server(CHATROOM_REQUEST_TIMEOUT=TIMEOUT)
    websocket: Client = server.connect()
    with RawConnection(server.port) as kept, RawConnection(server.port) as unfinished:
        kept.sendall(get("/health"))
        kept.read_response()
        unfinished.sendall(HANDSHAKE[:-2])
        unfinished.read_error()  # shows that the time limit has passed
        kept.sendall(get("/health"))
        assert kept.read_response()[0].status == 200
    websocket.assert_nothing_came()
