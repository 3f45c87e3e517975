"""A WebSocket client that reads only when a test asks it to."""

import json
import select
import socket
import ssl
import struct
import time
from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from typing import Any

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from tests.live.waiting import PATIENCE

UUID = "550e8400-e29b-41d4-a716-446655440000"


class Closed(Exception):
    """The server closed the connection; the code is 1006 without a close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Client:
    """One connection over a blocking socket with a timeout."""

    def __init__(
        self,
        port: int,
        *,
        path: str = "/ws",
        origin: str | None = None,
        tls: bool = False,
        receive_buffer: int | None = None,
        answers: bool = True,
        subprotocols: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        compression: bool = False,
    ) -> None:
        self._answers = answers
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.connect(("127.0.0.1", port))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self._socket = context.wrap_socket(self._socket)
        self._protocol = ClientProtocol(
            parse_uri(f"ws://127.0.0.1:{port}{path}"),
            origin=origin,
            max_size=None,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            extensions=[ClientPerMessageDeflateFactory()] if compression else None,
        )
        self._events: list[Any] = []
        request = self._protocol.connect()
        for name, value in (headers or {}).items():
            if name in request.headers:
                del request.headers[name]
            request.headers[name] = value
        try:
            self._protocol.send_request(request)
            self._send_protocol_data()
            self._next_event()
        except Exception:
            self._socket.close()
            raise
        if self._protocol.handshake_exc is not None:
            self._socket.close()
            raise self._protocol.handshake_exc

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server has selected."""
        return self._protocol.subprotocol

    @property
    def compressed(self) -> bool:
        """Whether compression was agreed on. What this client sends is never compressed."""
        return bool(self._protocol.extensions)

    @property
    def port(self) -> int:
        """The client's local port, by which the server identifies it."""
        port: int = self._socket.getsockname()[1]
        return port

    def fileno(self) -> int:
        """Return the descriptor of the socket, for `select`."""
        return self._socket.fileno()

    def send(self, message: Any = None, /, **fields: Any) -> None:
        """Send a text frame: a string as it is, anything else as JSON."""
        message = fields if message is None else message
        text = message if isinstance(message, str) else json.dumps(message)
        self.send_frame(Opcode.TEXT, text.encode())

    def send_all(self, messages: list[dict[str, Any]]) -> None:
        """Send many messages in one write."""
        self.send_bytes(
            b"".join(
                Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True)
                for message in messages
            )
        )

    def send_some(self, data: bytes) -> int:
        """Send as much as the socket takes at once; return the number of bytes."""
        timeout = self._socket.gettimeout()
        self._socket.setblocking(False)
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        finally:
            self._socket.settimeout(timeout)

    def send_frame(self, opcode: Opcode, data: bytes) -> None:
        """Send one frame, valid or not."""
        self.send_bytes(Frame(opcode, data).serialize(mask=True))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are; they need not form a frame."""
        self._socket.sendall(data)

    def receive_text(self) -> str:
        """Return the text of the next text frame.

        Raises:
            Closed: The server closed the connection.
            TimeoutError: No frame arrived in time.
        """
        frame = self._next_event()
        if frame.opcode is Opcode.CLOSE:
            raise Closed(self._protocol.close_rcvd.code, self._protocol.close_rcvd.reason)
        assert frame.opcode is Opcode.TEXT
        return frame.data.decode()

    def receive(self) -> dict[str, Any]:
        """Return the next message."""
        message: dict[str, Any] = json.loads(self.receive_text())
        return message

    def receive_frame(self) -> Frame:
        """Return the next frame of any kind."""
        frame: Frame = self._next_event(ignored=())
        return frame

    def read_bytes(self, size: int) -> int:
        """Read at most ``size`` bytes from the socket; return the number read."""
        data = self._socket.recv(size)
        self._protocol.receive_data(data)
        self._events += self._protocol.events_received()
        return len(data)

    def has_input(self) -> bool:
        """Return whether there is anything to read."""
        poll = select.poll()  # `select.select` takes no descriptor above 1,023
        poll.register(self._socket, select.POLLIN)
        return bool(self._events or poll.poll(0))

    def receive_pong(self) -> bytes:
        """Return the payload of the next frame, which must be a pong."""
        frame = self._next_event(ignored=())
        assert frame.opcode is Opcode.PONG
        return bytes(frame.data)

    def receive_close(self) -> tuple[int, str]:
        """Read until the connection is closed; return the close code and the reason."""
        try:
            while True:
                self.receive_text()
        except Closed as closed:
            return closed.code, closed.reason

    def ask(self, message: Any = None, /, **fields: Any) -> dict[str, Any]:
        """Send a message and return the next message received."""
        self.send(message, **fields)
        return self.receive()

    def publish(self, topic: str, payload: Any = None) -> dict[str, Any]:
        """Publish a message and return the next message received."""
        return self.ask(type="publish", topic=topic, message={"id": UUID, "payload": payload})

    def assert_nothing_came(self) -> None:
        """Check that no unread message was sent to this client."""
        answer = self.ask(type="ping", request_id="nothing before this")
        assert answer.get("request_id") == "nothing before this", answer

    def set_timeout(self, seconds: float) -> None:
        """Set the timeout in seconds of every call that waits for the socket."""
        self._socket.settimeout(seconds)

    def shut_down_writing(self) -> None:
        """Send the end of the stream, but keep reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Disconnect with a TCP reset, as a crash does."""
        if self._socket.fileno() != -1:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.close()

    def is_connected(self) -> bool:
        """Return, without reading, whether TCP still holds the connection (Linux's TCP_INFO)."""
        established = 1
        return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == established

    def close(self) -> None:
        """Close the connection with a close frame."""
        self._protocol.send_close(1000)
        self._flush()
        self._socket.close()

    def _flush(self) -> None:
        if self._answers:
            self._send_protocol_data()

    def _send_protocol_data(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._socket.sendall(data)

    def _next_event(self, ignored: Container[Opcode] = (Opcode.PING, Opcode.PONG)) -> Any:
        # The timeout of `recv` alone would begin anew with every ping of the server.
        deadline = time.monotonic() + (self._socket.gettimeout() or PATIENCE)
        while not self._events:
            if time.monotonic() > deadline:
                raise TimeoutError("nothing but pings arrived in time")
            try:
                data = self._socket.recv(1 << 16)
            except (ConnectionError, ssl.SSLError):
                data = b""
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            self._events += self._protocol.events_received()
            if not data and not self._events:
                raise Closed(1006, "")
            # The server may already be gone when a close frame is answered.
            with suppress(ConnectionError, ssl.SSLError):
                self._flush()
            self._events = [
                event
                for event in self._events
                if not (isinstance(event, Frame) and event.opcode in ignored)
            ]
        return self._events.pop(0)
