"""Ended connections leave nothing behind on a server without a garbage collector.

A connection that ended is freed by its last reference, so it neither uses memory until the next
collection nor makes that collection longer.
"""

import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from websockets.frames import Frame, Opcode

from tests.live.server import Server, running_server
from tests.live.waiting import PATIENCE, wait_until

COUNT = 100
TOGETHER = 50
"""Connections that are open at the same time."""

HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server without a garbage collector that disconnects clients for several reasons."""
    with running_server(
        *("-m", "daphne", "-p", "0", "tests.live.host.counted_objects:application"),
        CHATROOM_AUTO_CREATE_TOPICS="true",
        CHATROOM_OVERFLOW="disconnect",
        CHATROOM_QUEUE_SIZE="2",
        CHATROOM_RATE_LIMIT="20",
    ) as server:
        yield server


def connect(server: Server, path: str = "/ws") -> socket.socket:
    """Open a WebSocket; return its socket once the handshake is answered."""
    client = socket.socket()
    client.settimeout(PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    client.sendall(HANDSHAKE.format(path=path).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101" if path == "/ws" else b"HTTP/1.1 403"), answer
    return client


def send(client: socket.socket, data: bytes, opcode: Opcode = Opcode.TEXT) -> None:
    """Send a frame."""
    client.sendall(Frame(opcode, data).serialize(mask=True))


def read_to_the_end(client: socket.socket) -> bytes:
    """Return everything up to the end of the stream."""
    data = b""
    while piece := client.recv(1 << 16):
        data += piece
    client.close()
    return data


def reset(client: socket.socket) -> None:
    """Disconnect with a TCP reset, as a crash does."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def converse(client: socket.socket) -> None:
    """Subscribe and wait for the acknowledgement."""
    send(client, b'{"type":"subscribe","topic":"t"}')
    assert b"ack" in client.recv(4096)


# --- The ways in which a connection ends ---

CLOSE = b"\x03\xe8"


def client_closes(server: Server, clients: list[socket.socket]) -> None:
    """The client closes with the closing handshake."""
    for client in clients:
        send(client, CLOSE, Opcode.CLOSE)
    for client in clients:
        assert b"\x88" in read_to_the_end(client)


def client_resets(server: Server, clients: list[socket.socket]) -> None:
    """The client resets the TCP connection."""
    for client in clients:
        reset(client)


def client_ends_the_stream(server: Server, clients: list[socket.socket]) -> None:
    """The client closes the socket without a close frame."""
    for client in clients:
        client.close()


def server_closes(server: Server, clients: list[socket.socket]) -> None:
    """The server closes because the client keeps exceeding its rate."""
    ping = Frame(Opcode.TEXT, b'{"type":"ping"}').serialize(mask=True)
    for client in clients:
        client.sendall(ping * 250)
    for client in clients:
        answers = b""
        while b"too many requests" not in answers:
            answers = answers[-100:] + client.recv(1 << 16)
        send(client, CLOSE, Opcode.CLOSE)
        read_to_the_end(client)


def unfinished_frame(server: Server, clients: list[socket.socket]) -> None:
    """The client disconnects in the middle of a frame of the fast path."""
    for client in clients:
        client.sendall(Frame(Opcode.TEXT, b"x" * 100).serialize(mask=True)[:50])
        send(client, b"", Opcode.PING)
        reset(client)


def unfinished_message(server: Server, clients: list[socket.socket]) -> None:
    """The client disconnects between two fragments, while their parser exists."""
    for client in clients:
        client.sendall(Frame(Opcode.TEXT, b"x" * 100, fin=False).serialize(mask=True))
        send(client, b"", Opcode.PING)
        assert client.recv(100) == b"\x8a\x00"
        reset(client)


def fault(server: Server, clients: list[socket.socket]) -> None:
    """The server closes because of a protocol error after a fragment."""
    for client in clients:
        client.sendall(Frame(Opcode.TEXT, b"x", fin=False).serialize(mask=True))
        client.sendall(Frame(Opcode.TEXT, b"y").serialize(mask=True))
    for client in clients:
        assert b"\x03\xea" in read_to_the_end(client)


def slow_consumer(server: Server, clients: list[socket.socket]) -> None:
    """The server closes because the client does not read."""
    body = {"payload": "x" * 50_000}
    while server.request("GET", "/health")[1]["clients"]:
        status, _ = server.request("POST", "/topics/t/messages", body)
        assert status in (200, 201, 202)
    for client in clients:
        reset(client)


KINDS = [
    client_closes,
    client_resets,
    client_ends_the_stream,
    server_closes,
    unfinished_frame,
    unfinished_message,
    fault,
    slow_consumer,
]


def objects(server: Server) -> dict[str, int]:
    """Return the server's objects once no client is connected."""
    wait_until(lambda: not server.request("GET", "/health")[1]["clients"])
    counts: dict[str, int] = server.request("GET", "/objects")[1]
    return counts


def settle(server: Server) -> None:
    """Let an ordinary client disconnect last, because the last frames sent are kept."""
    client = connect(server)
    converse(client)
    client_closes(server, [client])


def assert_nothing_is_left(server: Server, before: dict[str, int]) -> None:
    """Wait until no additional objects are left; Daphne keeps some for about a second."""
    settle(server)

    def left() -> Counter[str]:
        return Counter(objects(server)) - Counter(before)

    wait_until(lambda: not left(), explain=left)


@pytest.mark.parametrize("end", KINDS, ids=lambda kind: kind.__name__)
def test_ended_connections_leave_nothing(
    server: Server, end: Callable[[Server, list[socket.socket]], None]
) -> None:
    """Ended connections leave no object of the chat room, Autobahn, Daphne or wsproto."""

    def come_and_go(count: int) -> None:
        for _ in range(count // TOGETHER):
            clients = [connect(server) for _ in range(TOGETHER)]
            for client in clients:
                converse(client)
            end(server, clients)

    settle(server)
    before = objects(server)
    come_and_go(COUNT)
    assert_nothing_is_left(server, before)


def test_refused_handshakes_leave_nothing(server: Server) -> None:
    """Refused handshakes leave no objects behind."""
    settle(server)
    before = objects(server)
    for _ in range(COUNT):
        connect(server, "/nope").close()
    assert_nothing_is_left(server, before)
