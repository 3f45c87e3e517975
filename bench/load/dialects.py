"""How the load generator says "subscribe" and "publish" to a server."""

import json
from typing import Any, Protocol

import jwt

from bench.load.sessions import ChatRoomSession, Session, SocketIOSession
from bench.load.websocket import DEFLATE, Step, handshake, text_frame

TOPIC = "bench"

KEPT_TOPIC = "bench-kept"
"""The topic whose messages a server keeps, if it keeps any, for clients that come back."""

SECRET = "the secret of the benchmark, which protects nothing"  # it is public

MESSAGE_ID = "550e8400-e29b-41d4-a716-446655440000"

ACK_MARK = b"@"
"""The ``request_id`` of every command. It occurs once in each acknowledgement and nowhere else, so
counting this byte counts acknowledgements, wherever the stream is cut."""


def _command(kind: str, topic: str, payload: Any = None) -> dict[str, Any]:
    command: dict[str, Any] = {"type": kind, "topic": topic, "request_id": ACK_MARK.decode()}
    if payload is not None:
        command["message"] = {"id": MESSAGE_ID, "payload": payload}
    return command


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


class Dialect(Protocol):
    """The differences between the wire formats of the peers."""

    opening: tuple[Step, ...]
    """The steps until the server accepts commands; the first ends with the HTTP response."""

    def subscribe(self, topic: str) -> Step:
        """Return the step that subscribes a connection."""

    def publish(self, topic: str, text: str) -> bytes:
        """Return the frame that publishes a text."""

    def ping(self) -> bytes:
        """Return a frame that the server answers at once and without other work."""

    def session(self, topic: str | None) -> Session:
        """Return a client that can reconnect: a subscriber or, without a topic, a publisher."""


class ChatRoom:
    """The chat room's own messages."""

    opening = (Step(handshake("/ws"), b"\r\n\r\n"),)
    recovers = True

    compressed = False
    """Whether long messages from the server are compressed."""

    def subscribe(self, topic: str) -> Step:
        """The acknowledgement is an object; it ends with its only closing brace."""
        return Step(text_frame(_json(_command("subscribe", topic))), b"}")

    def publish(self, topic: str, text: str) -> bytes:
        """The acknowledgement has the same form."""
        return self.publish_payload(topic, {"text": text})

    def publish_payload(self, topic: str, payload: Any) -> bytes:
        """Return the frame that publishes a payload."""
        return text_frame(_json(_command("publish", topic, payload)))

    def ping(self) -> bytes:
        """The answer is a pong."""
        return text_frame(_json({"type": "ping", "request_id": ACK_MARK.decode()}))

    def session(self, topic: str | None) -> Session:
        """It asks for what it missed, if the server has told it a position."""
        return ChatRoomSession(self.opening[0].send, topic, recovers=self.recovers)


class ChatRoomWithoutRecovery(ChatRoom):
    """The same, with clients that subscribe again and ask for nothing."""

    recovers = False


class ChatRoomWithToken(ChatRoom):
    """The same, with a token whose rights are as many as a real one has."""

    def __init__(self) -> None:
        rights = ["news", "user.42.*", "room-*", TOPIC, *(f"team-{n}" for n in range(8))]
        token = jwt.encode(
            {"sub": "42", "exp": 1 << 33, "subscribe": rights, "publish": rights}, SECRET
        )
        self.opening = (Step(handshake("/ws", token=token), b"\r\n\r\n"),)


class ChatRoomWithCompression(ChatRoom):
    """The same, with an offer of compression; its own messages are not compressed."""

    opening = (Step(handshake("/ws", extensions=DEFLATE), b"\r\n\r\n"),)

    compressed = True


class SocketIO:
    """The same messages as events of Socket.IO 5 over Engine.IO 4, the acknowledgement as its."""

    opening = (
        Step(handshake("/socket.io/?EIO=4&transport=websocket"), b"\r\n\r\n"),
        Step(b"", b"}"),  # 0{"sid": …}
        Step(text_frame("40"), b"}"),  # 40{"sid": …}
    )

    def _event(self, command: dict[str, Any]) -> bytes:
        return text_frame("421" + _json([command["type"], command]))

    def subscribe(self, topic: str) -> Step:
        """The acknowledgement is 431[…]."""
        return Step(self._event(_command("subscribe", topic)), b"]")

    def publish(self, topic: str, text: str) -> bytes:
        """The acknowledgement has the same form."""
        return self._event(_command("publish", topic, {"text": text}))

    def ping(self) -> bytes:
        """The answer is an acknowledgement."""
        return self._event({"type": "ping", "request_id": ACK_MARK.decode()})

    def session(self, topic: str | None) -> Session:
        """It recovers if the server has given it a private session id."""
        subscription = self.subscribe(topic).send if topic else None
        return SocketIOSession(self.opening[0].send, subscription)


DIALECTS: dict[str, Dialect] = {
    "chatroom": ChatRoom(),
    "chatroom-no-recovery": ChatRoomWithoutRecovery(),
    "chatroom-token": ChatRoomWithToken(),
    "chatroom-deflate": ChatRoomWithCompression(),
    "socketio": SocketIO(),
}
