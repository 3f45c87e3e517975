"""The bounds of everything that a client could make grow."""

import math
from dataclasses import dataclass
from enum import StrEnum

MAX_HISTORY = 1000


class Overflow(StrEnum):
    """What a full outbox does with one event more."""

    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"
    DISCONNECT = "disconnect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one broker and its connections.

    Raises:
        ValueError: A bound is out of its range; the message starts with the field's name.
    """

    queue_size: int = 256
    """Frames that wait for one client, before its overflow policy applies."""

    queue_bytes: int = 512 * 1024
    """Bytes that wait for one client, before its overflow policy applies; one frame may pass it."""

    overflow: Overflow = Overflow.DROP_NEWEST

    write_timeout: float = 30.0
    """Seconds for which a client may leave waiting frames unread before it is disconnected."""

    history_size: int = 0
    """Messages that a topic keeps for replay, unless it was created with a number of its own."""

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
        if not 0 < self.write_timeout < math.inf:
            raise ValueError("write_timeout must be more than 0 seconds")
