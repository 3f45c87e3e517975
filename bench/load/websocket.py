"""WebSocket connections (RFC 6455) as plain sockets, many of which are opened at a time."""

import select
import socket
from collections.abc import Iterator, Sequence
from typing import NamedTuple

UNDER_WAY = 32
"""How many connections are opened at a time."""

MASK = bytes.fromhex("5a17c38e")
"""The same for all frames; zeros would save some servers a part of their work."""

ANSWER_TIMEOUT = 10.0
"""Seconds without any answer after which a server is given up."""


class Step(NamedTuple):
    """One exchange while a connection is opened."""

    send: bytes
    until: bytes
    """The end of the answer."""


DEFLATE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
"""An offer after which every server compresses each message by itself."""

COMPRESSED = 0x40
"""The bit of a frame's first byte that marks a compressed message (RFC 7692 §6)."""


def handshake(path: str, *, token: str | None = None, extensions: str | None = None) -> bytes:
    """Return the request that opens a WebSocket; without extensions nothing is compressed."""
    headers = f"Authorization: Bearer {token}\r\n" if token else ""
    headers += f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        f"{headers}\r\n"
    ).encode()


def text_frame(text: str) -> bytes:
    """Return a masked text frame (§5.3)."""
    payload = text.encode()
    length = len(payload)
    header = (
        bytes((0x81, 0x80 | length)) if length < 126 else b"\x81\xfe" + length.to_bytes(2, "big")
    )
    return header + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def read_frame(sock: socket.socket) -> bytes:
    """Return the next frame from the server, with its header, and read no byte beyond it."""
    header = _read(sock, 2)
    length = header[1] & 0x7F
    if length >= 126:
        extended = _read(sock, 2 if length == 126 else 8)
        header += extended
        length = int.from_bytes(extended, "big")
    return header + _read(sock, length)


def _read(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionError("the server closed a connection")
        data += piece
    return data


class _Opening:
    """A connection that still has steps to take."""

    def __init__(self, port: int, steps: Sequence[Step], position: int) -> None:
        self.position = position
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._steps: Iterator[Step] = iter(steps)
        self._answer = b""
        self._until = b""
        self._next_step()

    def _next_step(self) -> bool:
        step = next(self._steps, None)
        if step is None:
            return False
        self._until = step.until
        if step.send:
            self.socket.sendall(step.send)
        return True

    def receive(self) -> bool:
        """Receive what has arrived, and go on to the next step; return whether any step is left."""
        piece = self.socket.recv(4096)
        self._answer += piece
        if not piece or (self._answer[:5] == b"HTTP/" and b" 101 " not in self._answer[:16]):
            raise ConnectionError(f"a connection was refused: {self._answer[:200]!r}")
        while self._until in self._answer:
            self._answer = self._answer.partition(self._until)[2]
            if not self._next_step():
                return False
        return True


def open_connections(port: int, scripts: Sequence[Sequence[Step]]) -> list[socket.socket]:
    """Open a connection for each script, `UNDER_WAY` at a time; return them in that order.

    Raises:
        ConnectionError: The server refuses or closes a connection.
        TimeoutError: The server sends nothing for `ANSWER_TIMEOUT` seconds.
    """
    opened: dict[int, socket.socket] = {}
    under_way: dict[int, _Opening] = {}
    poll = select.epoll()
    position = 0
    while len(opened) < len(scripts):
        while position < len(scripts) and len(under_way) < UNDER_WAY:
            opening = _Opening(port, scripts[position], position)
            under_way[opening.socket.fileno()] = opening
            poll.register(opening.socket, select.EPOLLIN)
            position += 1
        events = poll.poll(ANSWER_TIMEOUT)
        if not events:
            raise TimeoutError(f"no connection is accepted, after {len(opened)}")
        for fd, _ in events:
            opening = under_way[fd]
            if not opening.receive():
                poll.unregister(fd)
                opened[opening.position] = under_way.pop(fd).socket
    return [opened[position] for position in range(len(scripts))]
