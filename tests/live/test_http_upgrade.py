"""New connections to Daphne: bursts, and forged handshakes."""

import signal
from contextlib import ExitStack

import pytest
from websockets.frames import Frame, Opcode

from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection
from tests.live.server import Server

LINE_BREAKS = (b"\x0b", b"\x0c", b"\x1c", b"\x1d", b"\x1e", b"\x85")
"""Line breaks to Python's `str.splitlines`, with which Autobahn parses headers."""

HANDSHAKE = (
    b"GET /ws%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"
)
INJECTED = b"Origin: http://evil.example"


def answer_to(server: Server, handshake: bytes) -> tuple[int, bytes]:
    """Return the status of the response and its body."""
    with RawConnection(server.port) as connection:
        connection.sendall(handshake)
        response, body = connection.read_response()
        return response.status, body


def test_honest_handshake(server: Server) -> None:
    """The handshake that the other tests forge is accepted in its original form."""
    with RawConnection(server.port) as connection:
        connection.sendall(HANDSHAKE % (b"", b"X: y\r\n"))
        assert connection.recv(12) == b"HTTP/1.1 101"


@pytest.mark.parametrize("line_break", LINE_BREAKS)
def test_header_in_the_value_of_another(server: Server, line_break: bytes) -> None:
    """A line break in a header's value cannot inject a header (CVE-2026-44545)."""
    status, body = answer_to(server, HANDSHAKE % (b"", b"X: y" + line_break + INJECTED + b"\r\n"))
    assert (status, b"invalid header value" in body) == (400, True)


@pytest.mark.parametrize("line_break", LINE_BREAKS)
def test_header_in_the_name_of_another(server: Server, line_break: bytes) -> None:
    """A line break in a header's name cannot inject a header (CVE-2026-44546)."""
    status, _ = answer_to(server, HANDSHAKE % (b"", b"X" + line_break + INJECTED + b": y\r\n"))
    assert status == 400


@pytest.mark.parametrize("line_break", LINE_BREAKS)
def test_header_in_the_request_line(server: Server, line_break: bytes) -> None:
    """A line break in the path or the query cannot inject a header."""
    for target in (line_break + b"X:", b"?a=" + line_break + b"X:"):
        assert answer_to(server, HANDSHAKE % (target, b""))[0] == 400


@pytest.mark.parametrize(
    "header", [b"Sec-WebSocket-Protocol: \xff\r\n", b"Daphne-Root-Path: \xff\r\n"]
)
def test_header_that_daphne_cannot_decode(server: Server, header: bytes) -> None:
    """A header that has to be ASCII is refused if it is not, and nothing is logged."""
    assert answer_to(server, HANDSHAKE % (b"", header))[0] == 400


def test_root_path_from_anyone(server: Server) -> None:
    """Only a trusted proxy may move the root of the site."""
    forged = {"Daphne-Root-Path": "//evil.example/x"}
    assert server.connect(headers=forged).ask(type="ping")["type"] == "pong"
    assert "evil" not in server.get_text("/", headers=forged)


def test_frames_that_come_with_the_handshake(server: Server) -> None:
    """Frames in the same segment as the handshake, even a part of one, are not lost."""
    message = Frame(Opcode.TEXT, b'{"type":"ping","request_id":"r"}').serialize(mask=True)
    with RawConnection(server.port) as connection:
        connection.sendall(HANDSHAKE % (b"", b"") + message + message[:9])
        received = connection.recv(4096)
        while received.count(b'"request_id":"r"') < 1:
            received += connection.recv(4096)
        connection.sendall(message[9:])
        while received.count(b'"request_id":"r"') < 2:
            received += connection.recv(4096)
        assert received.startswith(b"HTTP/1.1 101")


def test_burst_of_connections(start_server: StartServer) -> None:
    """1,000 clients can connect while the server is busy, and none has to retry."""
    server = start_server()
    server.request("GET", "/health")
    server.send_signal(signal.SIGSTOP)
    with ExitStack() as stack:
        try:
            for _ in range(1000):
                stack.enter_context(RawConnection(server.port))
        finally:
            server.send_signal(signal.SIGCONT)
