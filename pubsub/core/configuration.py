"""The configuration of a broker and of its connections."""

import math
from dataclasses import dataclass
from enum import StrEnum

MAX_HISTORY = 1000


class Overflow(StrEnum):
    """What a full outbox does with one more event."""

    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What one broker and its connections are configured with.

    Raises:
        ValueError: A value is out of its range; the message starts with the field's name.
    """

    queue_size: int = 256
    """Frames that wait for one client, before its overflow policy applies."""

    queue_bytes: int = 512 * 1024
    """Bytes that wait for one client, before its overflow policy applies; one frame may pass it."""

    overflow: Overflow = Overflow.DROP_NEWEST

    write_timeout: float = 30.0
    """Seconds without reading anything, while frames wait, before a client is disconnected."""

    ping_interval: float = 20.0
    """Seconds of silence before a client is pinged, and again before it is disconnected."""

    request_timeout: float = 20.0
    """Seconds for a whole WebSocket handshake, or for the head and the body of a request."""

    history_size: int = 0
    """Messages that a topic keeps for replay, unless it was created with a number of its own."""

    history_bytes: int = 256 * 1024 * 1024
    """Bytes that the histories of all topics may take together."""

    auto_create_topics: bool = False
    """Whether subscribe and publish create the topic that they miss."""

    max_message_bytes: int = 64 * 1024
    """Bytes of one client message (UTF-8)."""

    rate_limit: float = 0.0
    """Messages that one client may send a second, and as many at once; 0 for no limit."""

    max_topics: int = 10_000

    max_subscriptions: int = 128
    """Subscriptions of one client."""

    def __post_init__(self) -> None:
        for field in (
            "queue_size",
            "queue_bytes",
            "history_bytes",
            "max_message_bytes",
            "max_topics",
            "max_subscriptions",
        ):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1")
        if not 0 <= self.history_size <= MAX_HISTORY:
            raise ValueError(f"history_size must be from 0 to {MAX_HISTORY}")
        if not 0 <= self.rate_limit < math.inf:
            raise ValueError("rate_limit must be at least 0 messages a second")
        for field in ("write_timeout", "ping_interval", "request_timeout"):
            if not 0 < getattr(self, field) < math.inf:
                raise ValueError(f"{field} must be more than 0 seconds")
