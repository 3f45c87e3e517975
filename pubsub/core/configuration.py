"""The configuration of a broker and of its connections."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

MAX_HISTORY = 1000


class Overflow(StrEnum):
    """What a full outbox does with the next event."""

    DROP_NEWEST = "drop_newest"
    DROP_OLDEST = "drop_oldest"
    DISCONNECT = "disconnect"


def _setting(default: Any, expected: str, valid: Callable[[Any], bool]) -> Any:
    return field(default=default, metadata={"expected": expected, "valid": valid})


def _count(default: int) -> Any:
    return _setting(default, "a whole number of at least 1", lambda value: value >= 1)


def _seconds(default: float) -> Any:
    return _setting(default, "a number of seconds above 0", lambda value: 0 < value < math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings of one broker and its connections.

    Each field declares its default and its valid values, which are stated nowhere else.

    Raises:
        ValueError: A value is invalid; the message starts with the name of the field.
    """

    queue_size: int = _count(256)
    """Frames that may wait for one client before the overflow policy applies."""

    queue_bytes: int = _count(512 * 1024)
    """Bytes that may wait for one client before the policy applies; one frame may exceed them."""

    overflow: Overflow = _setting(  # noqa: RUF009  # it returns a field
        Overflow.DROP_NEWEST, "drop_newest, drop_oldest or disconnect", lambda value: True
    )

    write_timeout: float = _seconds(30.0)
    """Seconds that a client may read nothing while data is waiting; then it is disconnected."""

    ping_interval: float = _seconds(20.0)
    """Seconds of silence before a client is pinged, and after the ping until it is disconnected."""

    request_timeout: float = _seconds(20.0)
    """Seconds for a complete WebSocket handshake, or for the head and the body of a request."""

    history_size: int = _setting(
        0, f"a whole number from 0 to {MAX_HISTORY}", lambda value: 0 <= value <= MAX_HISTORY
    )
    """Messages that a topic keeps for replay, unless another number was given at its creation."""

    history_bytes: int = _count(256 * 1024 * 1024)
    """Bytes that the histories of all topics may take in total."""

    auto_create_topics: bool = _setting(False, "true or false", lambda value: True)
    """Whether subscribe and publish create a missing topic."""

    max_message_bytes: int = _count(64 * 1024)
    """Bytes of one client message (UTF-8)."""

    rate_limit: float = _setting(
        0.0,
        "a number of messages a second, or 0 for no limit",
        lambda value: 0 <= value < math.inf,
    )
    """Messages that one client may send per second, which is also the burst; 0 for no limit."""

    max_topics: int = _count(10_000)
    """Topics in total."""

    max_subscriptions: int = _count(128)
    """Subscriptions per client."""

    def __post_init__(self) -> None:
        for setting in fields(self):
            if not setting.metadata["valid"](getattr(self, setting.name)):
                raise ValueError(f"{setting.name} must be {expected(setting.name)}")


def expected(name: str) -> str:
    """Return what a valid value of a field is, in words that follow "must be"."""
    return str(Configuration.__dataclass_fields__[name].metadata["expected"])
