"""A message that a topic has accepted, and the frames that outboxes queue."""

from collections.abc import Callable
from typing import Any

from pubsub.core.counters import TopicCounters


class Frame:
    """One outgoing message, encoded once and shared by every outbox that holds it.

    Its payload is the encoded message (UTF-8), and never changes. How it is framed on a connection
    is up to the transport; one that makes bytes which end with the payload may `keep` them, for
    all other connections of its kind. ``counters`` are those of the topic that the frame is an
    event of; they are ``None`` for replies and notices, which no overflow policy may drop.
    """

    __slots__ = ("_payload", "counters", "size", "wire")

    def __init__(self, payload: bytes, counters: TopicCounters | None = None) -> None:
        self._payload: bytes | None = payload
        self.size = len(payload)
        """Bytes of the payload."""
        self.counters = counters
        self.wire: bytes | None = None
        """What a transport has kept."""

    def keep(self, wire: bytes) -> bytes:
        """Keep bytes that end with the payload, in its place, and return them."""
        self.wire = wire
        self._payload = None
        return wire

    @property
    def payload(self) -> bytes:
        """The encoded message."""
        if self._payload is not None:
            return self._payload
        assert self.wire is not None  # noqa: S101  # one of the two is always there
        return self.wire[len(self.wire) - self.size :]

    @property
    def text(self) -> str:
        """The payload as text."""
        return self.payload.decode()

    def __repr__(self) -> str:
        kind = "reply" if self.counters is None else f"event of {self.counters.topic!r}"
        return f"<Frame {kind}, {self.size} bytes>"


class Publication:
    """One message as its topic accepted it.

    The topic makes it and only then has it encoded, so an event can carry everything that the
    topic knows. ``frame`` is that event, made once, whatever the number of ``subscribers``, those
    that it was offered to.
    """

    __slots__ = (
        *("frame", "id", "offset", "payload", "publisher_id", "subscribers", "time", "topic"),
    )

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
    ) -> None:
        self.topic = topic
        self.id = message_id
        self.payload = payload
        """What the publisher sent; opaque here, and read only by the encoder."""
        self.publisher_id = publisher_id
        """The publishing client; ``None`` for a message of the server's own."""
        self.time = time
        """When it was accepted: milliseconds since the epoch, UTC."""
        self.offset = offset
        """Its position in the topic, from 1; ``None`` if the topic keeps no history."""

    def __repr__(self) -> str:
        return f"<Publication {self.id} to {self.topic!r}>"


Encode = Callable[[Publication], bytes]
"""Encodes the event of a publication. It must not raise and must not call the broker."""
