"""The configuration of a broker and of its connections, and how a setting is declared."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from pubsub.core.options import MAX_CONFIGURED_HISTORY, Overflow, TopicRules


def setting(
    default: Any,
    expected: str,
    valid: Callable[[Any], bool] = lambda value: True,
    *,
    secret: bool = False,
) -> Any:
    """Declare a field of a configuration.

    Args:
        default: Its default.
        expected: What a valid value is, in words that follow "must be".
        valid: Returns whether a value of the right type is valid.
        secret: Whether no message may show the value.
    """
    return field(default=default, metadata={"expected": expected, "valid": valid, "secret": secret})


def count(default: int) -> Any:
    """Declare a number of things of which there is at least one."""
    return setting(default, "a whole number of at least 1", lambda value: value >= 1)


def limit(default: int) -> Any:
    """Declare an upper bound that 0 switches off."""
    return setting(
        default, "a whole number of at least 1, or 0 for no limit", lambda value: value >= 0
    )


def seconds(default: float) -> Any:
    """Declare a duration."""
    return setting(default, "a number of seconds above 0", lambda value: 0 < value < math.inf)


def rate(default: float, expected: str) -> Any:
    """Declare a number that may be fractional, and that 0 switches off."""
    return setting(default, expected, lambda value: 0 <= value < math.inf)


def check_fields(configuration: Any) -> None:
    """Check every field of a configuration against its declaration.

    Raises:
        ValueError: A value is invalid; the message starts with the name of the field.
    """
    for declared in fields(configuration):
        if not declared.metadata["valid"](getattr(configuration, declared.name)):
            raise ValueError(f"{declared.name} must be {declared.metadata['expected']}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings of one broker and its connections.

    Each field declares its default and its valid values, which are stated nowhere else.

    Raises:
        ValueError: A value is invalid; the message starts with the name of the field.
    """

    queue_size: int = count(256)
    """Frames that may wait for one client before the overflow policy applies."""

    queue_bytes: int = count(512 * 1024)
    """Bytes that may wait for one client before the policy applies; one frame may exceed them."""

    overflow: Overflow = setting(  # noqa: RUF009  # it returns a field
        Overflow.DROP_NEWEST, "drop_newest, drop_oldest, disconnect or catch_up"
    )

    write_timeout: float = seconds(30.0)
    """Seconds that a client may read nothing while data is waiting; then it is disconnected."""

    ping_interval: float = seconds(20.0)
    """Seconds of silence before a client is pinged, and after the ping until it is disconnected."""

    request_timeout: float = seconds(20.0)
    """Seconds for a complete WebSocket handshake, or for the head and the body of a request."""

    history_size: int = setting(
        0,
        f"a whole number from 0 to {MAX_CONFIGURED_HISTORY}",
        lambda value: 0 <= value <= MAX_CONFIGURED_HISTORY,
    )
    """Messages that a topic keeps, unless another number was given at its creation."""

    history_bytes: int = count(256 * 1024 * 1024)
    """Bytes that the histories of all topics may take in total."""

    recovery_limit: int = count(1000)
    """Messages that a subscription may recover at most."""

    once_seconds: float = seconds(300.0)
    """Seconds in which a message with ``once`` is delivered no more than once."""

    presence_interval: float = seconds(1.0)
    """Seconds between two notices of who has joined or left a topic."""

    presence_linger: float = rate(5.0, "a number of seconds, or 0 to tell of a lost user at once")
    """Seconds in which a user whose connection was lost may come back unnoticed."""

    presence_max: int = count(200)
    """Members of a topic above which only their number is sent."""

    topics: TopicRules = setting(  # noqa: RUF009  # it returns a field
        TopicRules(), "a JSON object of topics or patterns, each with an object of options"
    )
    """Topics that exist from the start, and the options of topics by name or pattern."""

    auto_create_topics: bool = setting(False, "true or false")
    """Whether subscribe and publish create a missing topic."""

    max_message_bytes: int = count(64 * 1024)
    """Bytes of one client message (UTF-8)."""

    compression: bool = setting(False, "true or false")
    """Whether WebSocket clients may negotiate compression (RFC 7692). On Daphne only: other servers
    have an option of their own."""

    rate_limit: float = rate(0.0, "a number of messages a second, or 0 for no limit")
    """Messages that one client may send per second; 0 for no limit."""

    rate_burst: float = rate(0.0, "a number of messages, or 0 for as many as the rate limit")
    """Messages that one client may send at once; 0 for as many as in a second."""

    rest_rate_limit: float = rate(0.0, "a number of messages a second, or 0 for no limit")
    """Messages that one API key, user or address may publish over REST per second; 0 for no
    limit. As many may come at once."""

    max_malformed: int = limit(1000)
    """Malformed messages in a minute that close a client's connection; 0 for no limit."""

    max_connections: int = limit(0)
    """Connections in total; 0 for no limit."""

    max_connections_per_address: int = limit(0)
    """Connections from one IP address; 0 for no limit."""

    max_connections_per_user: int = limit(0)
    """Connections of one user; 0 for no limit."""

    max_topics: int = count(10_000)
    """Topics in total."""

    max_subscriptions: int = count(128)
    """Subscriptions per client."""

    drain_seconds: float = rate(0.0, "a number of seconds, or 0 to disconnect all clients at once")
    """Seconds over which the clients are disconnected when the server stops."""

    def __post_init__(self) -> None:
        check_fields(self)
        if len(list(self.topics.names)) > self.max_topics:
            raise ValueError(f"topics must be no more than max_topics, which is {self.max_topics}")
