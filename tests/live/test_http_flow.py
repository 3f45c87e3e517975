"""The memory that HTTP clients cost on Daphne when they do not read their responses."""

from contextlib import ExitStack

from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection, get
from tests.live.server import Server

LARGE_FILE = "/static/ninja/swagger-ui-bundle.js"
MEGABYTE = 1_000_000

TRANSFERS = ("-m", "daphne", "-p", "0", "tests.live.host.asgi:application")


def growth_during(server: Server, requests: int) -> int:
    """Return how much the server's memory grows while it answers this many requests."""
    before = peak = server.memory()
    for _ in range(requests):
        assert server.request("GET", "/health")[0] == 200
        peak = max(peak, server.memory())
    return peak - before


def test_unread_responses_to_pipelined_requests(server: Server) -> None:
    """Pipelined requests for 900 MB are executed only as their responses are read."""
    server.get_text(LARGE_FILE)
    request = get(LARGE_FILE)
    with RawConnection(server.port) as connection:
        connection.sendall(request * 600)
        assert growth_during(server, 200) < 20 * MEGABYTE


def test_pipelined_requests_are_answered_in_order_and_in_full(server: Server) -> None:
    """Responses to a slow reader are complete and in order."""
    expected = server.get_text(LARGE_FILE).encode()
    with RawConnection(server.port) as connection:
        pair = get(LARGE_FILE) + get("/health")
        connection.sendall(pair * 5)
        assert growth_during(server, 20) < 20 * MEGABYTE
        for _ in range(5):
            assert connection.read_response()[1] == expected
            assert connection.read_response()[1].startswith(b'{"status":"ok"')


def test_endless_requests_behind_an_unread_response(server: Server) -> None:
    """The socket is not read while a response is unread, so the client cannot go on sending."""
    with RawConnection(server.port) as connection:
        connection.sendall(get(LARGE_FILE) * 10)
        growth_during(server, 20)
        before = server.memory()
        connection.setblocking(False)
        sent = 0
        try:
            while sent < 100 * MEGABYTE:
                sent += connection.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
                server.request("GET", "/health")
        except BlockingIOError:
            pass
        assert sent < 100 * MEGABYTE
        assert server.memory() - before < 20 * MEGABYTE


def test_one_unread_response(start_server: StartServer) -> None:
    """A streaming response of 100 MB is produced only as fast as the client reads it."""
    server = start_server(*TRANSFERS, DJANGO_SETTINGS_MODULE="tests.live.host.transfers")
    with RawConnection(server.port) as connection:
        connection.sendall(get("/download"))
        before = peak = server.memory()
        for _ in range(100):
            server.request("GET", "/chat/health")
            peak = max(peak, server.memory())
        assert peak - before < 20 * MEGABYTE
        assert len(connection.read_response()[1]) == 100 * MEGABYTE


def test_unanswered_requests_do_not_delay_others(
    start_server: StartServer,
) -> None:
    """Unanswered requests over the limit delay neither other clients nor a stop."""
    server = start_server(*TRANSFERS, DJANGO_SETTINGS_MODULE="tests.live.host.transfers")
    with ExitStack() as stack:
        for _ in range(250):
            stack.enter_context(RawConnection(server.port)).sendall(get("/wait"))
        assert server.request("GET", "/chat/health")[0] == 200
        assert server.stop() == 0


def test_client_that_never_reads_is_disconnected(start_server: StartServer) -> None:
    """A client that reads nothing is disconnected after CHATROOM_WRITE_TIMEOUT."""
    server = start_server(CHATROOM_WRITE_TIMEOUT="1")
    expected = server.get_text(LARGE_FILE)
    with RawConnection(server.port) as connection:
        connection.sendall(get(LARGE_FILE) * 100)
        connection.wait_for_the_end()
        assert len(connection.read_to_the_end()) < 100 * len(expected)
