"""Request bodies on Daphne: a body that is too large is refused before it is read."""

import json
import ssl

import pytest

from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection, get, post
from tests.live.server import Server
from tests.live.test_tls import endpoint  # noqa: F401

LIMIT = 65536
MEGABYTE = 1_000_000
TOO_LARGE = (413, "MESSAGE_TOO_LARGE", f"request body exceeds {LIMIT} bytes")
SMALL_FILES_ONLY = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.argv[1:] = ["-p", "0", "chatroom_project.asgi:application"]
runpy.run_module("daphne", run_name="__main__")
"""
"""Run Daphne with files limited to 100 kB, as if the disk were full."""

TRANSFERS = ("-m", "daphne", "-p", "0", "tests.live.host.asgi:application")


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body (RFC 9112 §7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def body_of(size: int) -> bytes:
    """Return a JSON string of this many bytes."""
    return b'"' + b"x" * (size - 2) + b'"'


@pytest.mark.parametrize("path", ["/topics", "/nowhere", "/", "/static/ninja/swagger-ui.css"])
def test_declared_length_is_refused_before_the_body_is_sent(server: Server, path: str) -> None:
    """A declared length over the limit is refused before the body is sent, on any path."""
    with RawConnection(server.port) as connection:
        connection.sendall(post(path, f"Content-Length: {LIMIT + 1}"))
        assert connection.read_error() == TOO_LARGE


def test_expect_100_continue(server: Server) -> None:
    """``Expect: 100-continue`` is answered with 413 for a large body and 100 otherwise."""
    with RawConnection(server.port) as connection:
        connection.sendall(post("/topics", "Content-Length: 99999", "Expect: 100-continue"))
        assert connection.read_error() == TOO_LARGE
    with RawConnection(server.port) as connection:
        connection.sendall(post("/topics", "Content-Length: 16", "Expect: 100-continue"))
        assert connection.recv(25, 0) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"name":"asked"}')
        assert connection.read_response()[0].status == 201


def test_refusal_can_be_read_after_sending_200_mb(server: Server) -> None:
    """A client may send a refused body to the end and then read the answer without a reset."""
    before = peak = server.memory()
    with RawConnection(server.port) as connection:
        connection.sendall(post("/topics", "Content-Length: 200000000"))
        for _ in range(200):
            connection.sendall(b"x" * MEGABYTE)
            peak = max(peak, server.memory())
        assert connection.read_error() == TOO_LARGE
    assert peak - before < 10 * MEGABYTE


def test_chunked_body_is_refused_when_it_becomes_too_large(server: Server) -> None:
    """A chunked body is refused once it exceeds the limit, whatever the chunk size."""
    for size in (1, 1000, LIMIT + 1):
        with RawConnection(server.port) as connection:
            connection.sendall(post("/topics", "Transfer-Encoding: chunked"))
            connection.sendall(chunk(b"x" * size) * (LIMIT // size + 1))
            assert connection.read_error() == TOO_LARGE


def test_chunked_body_of_100_mb_costs_no_memory(server: Server) -> None:
    """The rest of a refused body is discarded."""
    before = peak = server.memory()
    with RawConnection(server.port) as connection:
        connection.sendall(post("/topics", "Transfer-Encoding: chunked"))
        for _ in range(100):
            connection.sendall(chunk(b"x" * MEGABYTE))
            peak = max(peak, server.memory())
        connection.sendall(chunk(b""))
        assert connection.read_error() == TOO_LARGE
    assert peak - before < 10 * MEGABYTE


def test_body_of_exactly_the_limit_is_read(server: Server) -> None:
    """A body of exactly the limit is accepted."""
    server.create_topic("t")
    payload = {"payload": ""}
    payload["payload"] = "x" * (LIMIT - len(json.dumps(payload)))
    body = json.dumps(payload).encode()
    assert len(body) == LIMIT
    assert server.request("POST", "/topics/t/messages", body)[0] == 200
    with RawConnection(server.port) as connection:
        connection.sendall(post("/topics/t/messages", "Transfer-Encoding: chunked"))
        connection.sendall(chunk(body[:1000]) + chunk(body[1000:]) + chunk(b""))
        assert connection.read_response()[0].status == 200


def test_request_behind_a_refused_one_is_not_executed(server: Server) -> None:
    """Bytes behind a refused head belong to its body, even if they look like a request."""
    with RawConnection(server.port) as connection:
        smuggled = post("/topics", "Content-Length: 19") + b'{"name":"smuggled"}'
        connection.sendall(post("/topics", "Content-Length: 99999") + smuggled)
        assert connection.read_error() == TOO_LARGE
    assert server.request("GET", "/topics")[1] == {"topics": []}


def test_no_body_needs_the_disk(start_server: StartServer) -> None:
    """Even the largest body is kept in memory, so a full disk has no effect."""
    size = 10 * MEGABYTE
    server = start_server("-c", SMALL_FILES_ONLY, CHATROOM_MAX_MESSAGE_BYTES=str(size))
    server.create_topic("t")
    body = b'{"payload":%s}' % body_of(size - 12)
    assert server.request("POST", "/topics/t/messages", body)[0] == 200
    with RawConnection(server.port) as connection:
        connection.sendall(post("/topics/t/messages", "Transfer-Encoding: chunked"))
        connection.sendall(chunk(body) + chunk(b""))
        assert connection.read_response()[0].status == 200
    assert server.request("POST", "/topics/t/messages", body + b" ")[0] == 413


def test_handshake_with_a_large_body(server: Server) -> None:
    """A WebSocket handshake that declares a large body is refused like any other request."""
    with RawConnection(server.port) as connection:
        connection.sendall(
            get("/ws", "Upgrade: websocket", "Connection: Upgrade", "Content-Length: 99999")
        )
        assert connection.read_error() == TOO_LARGE


def test_malformed_request_is_answered_in_json(server: Server) -> None:
    """A malformed request gets a JSON error, which a client that still sends can read."""
    malformed = [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ]
    for request in malformed:
        with RawConnection(server.port) as connection:
            connection.sendall(request + b"x" * 100_000)
            assert connection.read_error() == (400, "BAD_REQUEST", "malformed request")


def test_uploads_of_another_project_are_left_alone(start_server: StartServer) -> None:
    """In a host project only the chat room's own paths are limited, under any prefix."""
    server = start_server(*TRANSFERS, DJANGO_SETTINGS_MODULE="tests.live.host.transfers")
    body = body_of(3 * MEGABYTE)
    assert server.request("POST", "/upload", body) == (200, {"size": len(body)})
    with RawConnection(server.port) as connection:
        connection.sendall(post("/upload", "Transfer-Encoding: chunked"))
        connection.sendall(chunk(body) + chunk(b""))
        assert json.loads(connection.read_response()[1]) == {"size": len(body)}
    for path in ("/chat/topics", "/chat/topics/t/messages?x=1", "/chat/asyncapi.json"):
        with RawConnection(server.port) as connection:
            connection.sendall(post(path, f"Content-Length: {len(body)}"))
            assert connection.read_error() == TOO_LARGE


def test_root_of_a_site_is_taken_into_account(start_server: StartServer) -> None:
    """The limit allows for a root path, which may come from an option or a header."""
    server = start_server(
        *("-m", "daphne", "-p", "0", "--root-path", "/site", "tests.live.host.asgi:application"),
        DJANGO_SETTINGS_MODULE="tests.live.host.transfers",
        TRANSFERS_PROXIES="127.0.0.1",
    )
    for path, header in (("/site/chat/topics", "X: y"), ("/s/chat/topics", "Daphne-Root-Path: /s")):
        with RawConnection(server.port) as connection:
            connection.sendall(post(path, "Content-Length: 99999", header))
            assert connection.read_error() == TOO_LARGE


def test_refusal_over_tls(start_server: StartServer, endpoint: str) -> None:  # noqa: F811
    """Over TLS the refusal arrives before the connection is closed."""
    server = start_server("-m", "daphne", "-e", endpoint, "chatroom_project.asgi:application")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with RawConnection(server.port) as connection, context.wrap_socket(connection) as secure:
        secure.sendall(post("/topics", "Content-Length: 1000000") + b"x" * MEGABYTE)
        answer = b""
        while piece := secure.recv(1 << 16):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 413 ")
