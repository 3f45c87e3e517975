"""Exceptions for requests that break the contract, and the error code of every exception.

::

    PubSubError                     the root of all errors, in pubsub.core.errors
    └── ProtocolError               .code, .request_id, .topic
        ├── BadRequest
        ├── MessageTooLarge
        ├── NotFound                REST only
        ├── RateLimited
        ├── UnsupportedMediaType    REST only
        └── Unavailable             REST only
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


class UnsupportedMediaType(ProtocolError):
    """The body of a REST request is not declared to be JSON."""

    code = ErrorCode.UNSUPPORTED_MEDIA_TYPE


class Unavailable(ProtocolError):
    """The process cannot serve the request; the message says what to do."""

    code = ErrorCode.UNAVAILABLE


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
