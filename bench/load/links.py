"""A WebSocket client that loses its connection and comes back."""

import random
import socket
import struct
import time

from bench.load.loop import Loop
from bench.load.sessions import Session

OPENING_TIMEOUT = 10.0
"""Seconds after which an attempt to connect and to subscribe is given up. This and the delays are
those of the clients of Socket.IO in AnyCable's benchmark."""

FIRST_DELAY, LONGEST_DELAY = 0.5, 5.0
"""Seconds before the first attempt to reconnect; they double with each attempt, up to the longest.
Each is multiplied by a random factor between a half and one and a half."""

RESET = struct.pack("ii", 1, 0)
"""The value of SO_LINGER with which a socket resets its connection when it is closed, see
socket(7)."""

CHUNK = 1 << 16
TEXT_FRAME, CLOSE_FRAME = 0x81, 0x88


class Link:
    """A WebSocket client whose connection may be lost at any time.

    It reconnects by itself, after the delay that the server asked for or after one that doubles
    with each attempt.

    Args:
        delays: Gives the random factors of the delays.
    """

    def __init__(self, loop: Loop, session: Session, delays: random.Random) -> None:
        self.session = session
        self._loop = loop
        self._delays = delays
        self._socket: socket.socket | None = None
        self._rest = b""
        self._upgraded = False
        self._attempt = 0
        """Attempts since the client was last ready."""
        self._connections = 0
        self._begin = 0.0
        """When the newest connection was begun, by `time.perf_counter`."""

    @property
    def ready(self) -> bool:
        """Whether it is connected and its session is ready."""
        return self._upgraded and self.session.ready

    def connect(self) -> None:
        """Begin to connect."""
        self._upgraded, self._rest = False, b""
        self._connections += 1
        connection = self._connections
        self._begin = time.perf_counter()
        self._socket = self._loop.connect(self)
        self._loop.after(OPENING_TIMEOUT, lambda: self._give_up(connection))

    def _give_up(self, connection: int) -> None:
        if self._socket and connection == self._connections and not self.ready:
            self.lost()

    def connected(self) -> None:
        """Send the handshake."""
        self._send(self.session.handshake)

    def drop(self) -> None:
        """Lose the connection, without a closing handshake and whatever is still under way."""
        if self._socket:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._disconnect()

    def lost(self) -> None:
        """Reconnect later."""
        self._disconnect()
        asked, self.session.reconnect_in = self.session.reconnect_in, None
        delay = min(FIRST_DELAY * 2**self._attempt, LONGEST_DELAY)
        self._attempt += 1
        self._loop.after(asked or delay * self._delays.uniform(0.5, 1.5), self.connect)

    def _disconnect(self) -> None:
        if self._socket:
            self._loop.close(self._socket)
        self._socket, self._upgraded = None, False

    def _send(self, data: bytes) -> None:
        if data and self._socket:
            self._socket.sendall(data)

    def readable(self) -> None:
        """Receive what has arrived: the rest of the handshake, or frames."""
        assert self._socket
        data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionError("the server closed a connection")
        data = self._rest + data if self._rest else data
        if not self._upgraded:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return
            if b" 101 " not in head[:16]:
                raise ConnectionError(f"a connection was refused: {head[:200]!r}")
            self._upgraded = True
            self._send(self.session.start())
            self.progressed(was_ready=False)
        self._rest = self._take_frames(data)

    def _take_frames(self, data: bytes) -> bytes:
        """Handle all complete frames (RFC 6455 §5.2); return the rest."""
        position, size = 0, len(data)
        while size - position >= 2:
            length, start = data[position + 1], position + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                if start > size:
                    break
                length = int.from_bytes(data[position + 2 : start])
            if start + length > size:
                break
            self._take_frame(data[position], data[start : start + length])
            position = start + length
        return data[position:]

    def _take_frame(self, first: int, payload: bytes) -> None:
        if first == CLOSE_FRAME:
            raise ConnectionError("the server closed a connection")
        if first == TEXT_FRAME:
            self.take(payload)

    def take(self, text: bytes) -> None:
        """Pass a text message on to the session."""
        was_ready = self.session.ready
        self._send(self.session.take(text))
        self.progressed(was_ready=was_ready)

    def progressed(self, *, was_ready: bool) -> None:
        """Notice that the session has become ready."""
        if self.session.ready and not was_ready:
            self._attempt = 0
            self.became_ready()

    def became_ready(self) -> None:
        """Do what can be done from now on; a subclass decides."""
