"""A clean stop while HTTP requests are in progress."""

import signal
from contextlib import ExitStack

from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection, get, post

TRANSFERS = ("-m", "daphne", "-p", "0", "tests.live.host.asgi:application")


def test_stop_under_a_flood_of_requests(start_server: StartServer) -> None:
    """A stop under 6,000 pipelined requests notifies WebSocket clients and starts no request.

    Each connection may finish the request in progress; the requests behind it are dropped.
    """
    server = start_server()
    websockets = [server.connect() for _ in range(10)]
    with ExitStack() as stack:
        flood = [stack.enter_context(RawConnection(server.port)) for _ in range(1000)]
        for connection in flood:
            connection.sendall(get("/stats") * 6)
        flood[0].read_response()
        server.send_signal(signal.SIGTERM)
        assert [client.receive_close() for client in websockets] == [(3001, "shutdown")] * 10
        assert server.wait() == 0
        answers = [connection.read_to_the_end().count(b"HTTP/1.1 200") for connection in flood]
        assert sum(answers) < 6 * len(flood)


def test_http_connections_during_the_stop(start_server: StartServer) -> None:
    """A stop closes idle HTTP connections, and new requests are answered with 503."""
    server = start_server()
    silent = server.connect()  # does not answer the close frame, so the server waits for it
    notified = server.connect()
    with RawConnection(server.port) as connection:
        connection.sendall(post("/topics", "Content-Length: 12") + b'{"name":"a"}')
        connection.read_response()
        server.send_signal(signal.SIGTERM)
        assert notified.receive_close() == (3001, "shutdown")
        assert connection.read_to_the_end() == b""
    with RawConnection(server.port) as late:
        late.sendall(get("/health"))
        assert late.read_error() == (503, "UNAVAILABLE", "the server is stopping")
    silent.reset()
    assert server.wait() == 0


def test_unfinished_requests_do_not_delay_the_stop(start_server: StartServer) -> None:
    """Incomplete, refused and stalled requests do not delay a stop."""
    server = start_server(*TRANSFERS, DJANGO_SETTINGS_MODULE="tests.live.host.transfers")
    requests = [
        b"",
        get("/upload")[:10],
        post("/upload", "Content-Length: 100") + b"x",
        post("/chat/topics", "Content-Length: 1000000"),
        get("/download"),
        get("/download") * 3,
    ]
    with ExitStack() as stack:
        for request in requests:
            stack.enter_context(RawConnection(server.port)).sendall(request)
        for _ in range(20):
            server.request("GET", "/chat/health")
        assert server.stop() == 0
