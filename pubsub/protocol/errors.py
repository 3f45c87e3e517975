"""Exceptions for requests that break the contract, and the error code of every exception.

::

    PubSubError                     the root of all errors, in pubsub.core.errors
    └── ProtocolError               .code, .request_id, .topic
        ├── BadRequest
        ├── MessageTooLarge
        ├── NotFound                REST only
        ├── RateLimited
        ├── TooManyConnections      .reason, streams only
        ├── UnsupportedMediaType    REST only
        └── Unavailable             .unknown_fate
"""

from msgspec import UNSET, UnsetType

from pubsub.auth import errors as auth
from pubsub.core import errors as core
from pubsub.protocol.codes import ErrorCode


class ProtocolError(core.PubSubError):
    """A message or a request is rejected before it reaches the broker.

    ``request_id`` and ``topic`` are ``UNSET`` unless the message has valid ones.
    """

    code: ErrorCode

    def __init__(
        self,
        message: str,
        *,
        request_id: str | UnsetType = UNSET,
        topic: str | UnsetType = UNSET,
    ) -> None:
        super().__init__(message)
        self.request_id = request_id
        self.topic = topic


class BadRequest(ProtocolError):
    """The request is not a JSON object, or a field is missing or invalid."""

    code = ErrorCode.BAD_REQUEST


class MessageTooLarge(ProtocolError):
    """The request has more than ``max_message_bytes`` bytes."""

    code = ErrorCode.MESSAGE_TOO_LARGE


class NotFound(ProtocolError):
    """What the path of a REST request names does not exist."""

    code = ErrorCode.NOT_FOUND


class RateLimited(ProtocolError):
    """The client sends more messages than ``rate_limit`` allows."""

    code = ErrorCode.RATE_LIMITED


class TooManyConnections(ProtocolError):
    """There is no room for another connection.

    ``reason`` says whose limit is reached: ``connections`` for the server's, ``address`` or
    ``user``.
    """

    code = ErrorCode.LIMIT_EXCEEDED

    def __init__(self, reason: str) -> None:
        whose = "" if reason == "connections" else f" of this {reason}"
        super().__init__(f"too many connections{whose}")
        self.reason = reason


class UnsupportedMediaType(ProtocolError):
    """The body of a REST request is not declared to be JSON."""

    code = ErrorCode.UNSUPPORTED_MEDIA_TYPE


class Unavailable(ProtocolError):
    """The process cannot serve the request now.

    ``unknown_fate`` says that the request may have been carried out nevertheless, because the
    answer of other servers did not come in time; to repeat it tells.
    """

    code = ErrorCode.UNAVAILABLE

    def __init__(self, message: str, *, unknown_fate: bool = False) -> None:
        super().__init__(message)
        self.unknown_fate = unknown_fate


def has_unknown_fate(error: core.PubSubError) -> bool:
    """Return whether what failed may have been carried out nevertheless."""
    return isinstance(error, Unavailable) and error.unknown_fate


_CODES: dict[type[Exception], ErrorCode] = {
    core.InvalidTopicName: ErrorCode.BAD_REQUEST,
    core.TopicExists: ErrorCode.TOPIC_EXISTS,
    core.TopicNotFound: ErrorCode.TOPIC_NOT_FOUND,
    core.NotSubscribed: ErrorCode.NOT_SUBSCRIBED,
    core.NoHistory: ErrorCode.BAD_REQUEST,
    core.NoPresence: ErrorCode.BAD_REQUEST,
    core.LimitExceeded: ErrorCode.LIMIT_EXCEEDED,
    auth.Unauthorized: ErrorCode.UNAUTHORIZED,
    auth.Forbidden: ErrorCode.FORBIDDEN,
}


def error_code(error: core.PubSubError) -> ErrorCode:
    """Return the code of an exception or its nearest base class; ``INTERNAL`` if it has none."""
    if isinstance(error, ProtocolError):
        return error.code
    codes = (_CODES[base] for base in type(error).__mro__ if base in _CODES)
    return next(codes, ErrorCode.INTERNAL)
