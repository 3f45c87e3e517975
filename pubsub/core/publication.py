"""Messages that a topic has accepted, and the frames that outboxes queue."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pubsub.core.counters import TopicCounters


class Frame:
    """One outgoing message, encoded once and shared by every outbox that holds it.

    Its payload is the encoded message (UTF-8) and never changes. Transports frame it: the first one
    to do so may leave the framed bytes, which end with the payload, in ``wire`` for all other
    connections of its kind, and clear ``unframed``. ``counters`` are those of the event's topic;
    they are ``None`` for replies and notices, which no overflow policy may drop.
    """

    __slots__ = ("compressed", "counters", "size", "unframed", "wire")

    offset: int | None = None
    """That of the message; ``None`` if it is not an event of a topic that keeps history."""

    def __init__(self, payload: bytes, counters: TopicCounters | None = None) -> None:
        self.unframed: bytes | None = payload
        """The payload, until a transport has framed it."""
        self.size = len(payload)
        """Bytes of the payload."""
        self.counters = counters
        self.wire: bytes | None = None
        """The form that a transport has left here; it ends with the payload."""
        self.compressed: bytes | None = None
        """The form for clients that have negotiated compression, once one of them needed it."""

    @property
    def payload(self) -> bytes:
        """The encoded message."""
        if self.wire is None:
            assert self.unframed is not None  # noqa: S101  # one of the two is always there
            return self.unframed
        return self.wire[len(self.wire) - self.size :]

    @property
    def text(self) -> str:
        """The payload as text."""
        return self.payload.decode()

    def __repr__(self) -> str:
        kind = "reply" if self.counters is None else f"event of {self.counters.topic!r}"
        return f"<Frame {kind}, {self.size} bytes>"


class Position(NamedTuple):
    """A place in the messages of a topic that keeps history."""

    epoch: str
    """Changes when the topic is created again; no two topics have the same."""

    offset: int
    """That of the last message before this place; 0 before the first one."""


class Reset(Frame):
    """The notice that a topic begins again, with a new epoch and no messages.

    Args:
        payload: The encoded notice.
        topic: The name of the topic.
        position: Its new position.
    """

    __slots__ = ("position", "topic")

    def __init__(self, payload: bytes, topic: str, position: Position) -> None:
        super().__init__(payload)
        self.topic = topic
        self.position = position


class Publication:
    """A message as its topic accepted it.

    The topic creates the publication first and encodes it afterwards, so that the event can carry
    what only the topic knows. ``frame`` is that event, encoded once for all ``subscribers``, the
    number of clients that it was offered to.
    """

    __slots__ = (
        *("frame", "id", "offset", "payload", "publisher_id", "subscribers", "time", "topic"),
        "user",
    )

    duplicate = False
    """Whether it repeats an earlier one, and so was delivered to nobody."""

    frame: Frame
    subscribers: int

    def __init__(
        self,
        topic: str,
        message_id: str,
        payload: Any,
        publisher_id: str | None,
        time: int,
        offset: int | None,
        user: str | None = None,
    ) -> None:
        self.topic = topic
        self.id = message_id
        self.payload = payload
        """What the publisher sent; opaque here, and read only by the encoder."""
        self.publisher_id = publisher_id
        """The id of the publishing client; ``None`` if no WebSocket client published it."""
        self.time = time
        """When it was accepted, in milliseconds since the Unix epoch."""
        self.offset = offset
        """Its position in the topic, counted from 1; ``None`` if the topic keeps no history."""
        self.user = user
        """The authenticated user who published it, or ``None``."""

    def __repr__(self) -> str:
        return f"<Publication {self.id} to {self.topic!r}>"


Encode = Callable[[Publication], bytes]
"""Encodes the event of a publication. It must not raise and must not call the broker."""
