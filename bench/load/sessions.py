"""What a client says each time it connects, and what it remembers from one connection to the next.

A session outlives its connections. It is a state machine without I/O: the load feeds it the text
messages that are no events, and sends what it returns.
"""

import json
import re
from typing import Any, Protocol

from bench.load.websocket import text_frame

LAST_N = 1000
"""How many messages a client asks for when its position is of no use, after a restart for one: all
that the server keeps, because each of them is newer than the position."""

OFFSET = re.compile(rb'"offset":(\d+)')


class Session(Protocol):
    """One client over all its connections."""

    handshake: bytes
    """The HTTP request that opens a connection."""

    ready: bool
    """Whether the client is subscribed, or may publish if it subscribes to nothing."""

    recovered: bool | None
    """Whether nothing was missed since the last connection, as the server says; None if it says
    nothing, as on a first connection."""

    reconnect_in: float | None
    """Seconds after which the server asked the client to come back, if it did."""

    last_event: bytes
    """The newest event, which the load sets. It tells the client's position."""

    def start(self) -> bytes:
        """Begin again, on a new connection; return what to send after the handshake."""

    def take(self, text: bytes) -> bytes:
        """Take a message that is no event; return what to send in reply, often nothing."""


class ChatRoomSession:
    """A subscriber of the chat room or, without a topic, a publisher.

    Args:
        handshake: The HTTP request.
        topic: What to subscribe to.
        recovers: Whether the client asks for what it missed. A server that does not say positions
            is never asked.
    """

    def __init__(self, handshake: bytes, topic: str | None, *, recovers: bool) -> None:
        self.handshake = handshake
        self.ready = False
        self.recovered: bool | None = None
        self.reconnect_in: float | None = None
        self.last_event = b""
        self._topic = topic
        self._recovers = recovers
        self._epoch = ""
        self._position: dict[str, Any] = {}
        """The fields of ``recover``: the epoch, the offset, and the client's former id."""

    def start(self) -> bytes:
        """Subscribe, from the position of the last event if one is known."""
        self.recovered = self.reconnect_in = None
        self.ready = self._topic is None
        if self._topic is None:
            return b""
        command: dict[str, Any] = {"type": "subscribe", "topic": self._topic, "request_id": "@"}
        if found := OFFSET.findall(self.last_event):
            self._position |= {"epoch": self._epoch, "offset": int(found[-1])}
        if self._recovers and self._position:
            command |= {"recover": self._position, "last_n": LAST_N}
        return text_frame(json.dumps(command, separators=(",", ":")))

    def take(self, text: bytes) -> bytes:
        """Learn the position from the acknowledgement, and the time to come back from ``info``.

        Raises:
            ValueError: The server refused a command.
        """
        message = json.loads(text)
        if message["type"] == "ack" and not self.ready:
            self._subscribed(message)
        elif message["type"] == "info":
            self.reconnect_in = message["reconnect_in_ms"] / 1000
        elif message["type"] == "error" and message["error"]["code"] != "SLOW_CONSUMER":
            raise ValueError(f"a command was refused: {message['error']}")
        return b""

    def _subscribed(self, ack: dict[str, Any]) -> None:
        """Note the position; replayed messages follow it, so they have not been received yet."""
        self.ready = True
        self.recovered = ack.get("recovered")
        self.last_event = b""
        if "epoch" in ack:
            self._epoch = ack["epoch"]
            if self.recovered is None:
                self._position = {"epoch": self._epoch, "offset": ack["offset"]}
            self._position["client_id"] = ack["client_id"]


class SocketIOSession:
    """A client of Socket.IO 5, with connection state recovery if the server has it enabled.

    Args:
        handshake: The HTTP request.
        subscription: The frame that subscribes; without one the client only publishes. It is sent
            after a recovery too, which costs a message and is otherwise without effect.
    """

    def __init__(self, handshake: bytes, subscription: bytes | None) -> None:
        self.handshake = handshake
        self.ready = False
        self.recovered: bool | None = None
        self.reconnect_in: float | None = None
        self.last_event = b""
        self._subscription = subscription
        self._private_id: str | None = None
        self._offset: str | None = None

    def start(self) -> bytes:
        """Send nothing: the server begins, with the packet that opens the session."""
        self.ready = False
        self.recovered = None
        if self.last_event:
            *_, offset = json.loads(self.last_event.removeprefix(b"42"))
            self._offset = offset if isinstance(offset, str) else None
        return b""

    def take(self, text: bytes) -> bytes:
        """Connect to the default namespace, then subscribe."""
        if text.startswith(b"0"):
            recovery = {"pid": self._private_id, "offset": self._offset}
            return text_frame("40" + (json.dumps(recovery) if self._private_id else ""))
        if text.startswith(b"40"):
            private_id = json.loads(text[2:]).get("pid")
            if self._private_id:
                self.recovered = private_id == self._private_id
            self._private_id = private_id
            self.ready = self._subscription is None
            return self._subscription or b""
        if text.startswith(b"43"):
            self.ready = True
        return b""
