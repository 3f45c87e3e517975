"""What the server says no to, as one tree of exceptions, and the codes that clients get for it.

::

    ProtocolError               .code, .request_id, .topic
    ├── BadRequest
    ├── MessageTooLarge
    └── RateLimited
"""

from msgspec import UNSET, UnsetType

from pubsub.core import errors as core
from pubsub.protocol.codes import ErrorCode


class ProtocolError(Exception):
    """A client message that breaks the contract, with what could be read of it.

    ``request_id`` and ``topic`` are ``UNSET`` where the message has none, or none that is valid.
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
    """Not JSON, not an object, or a missing or wrong field, which the message names."""

    code = ErrorCode.BAD_REQUEST


class MessageTooLarge(ProtocolError):
    """More bytes than one client message may have."""

    code = ErrorCode.MESSAGE_TOO_LARGE


class RateLimited(ProtocolError):
    """More messages than the client may send."""

    code = ErrorCode.RATE_LIMITED


_CODES: dict[type[Exception], ErrorCode] = {
    core.InvalidTopicName: ErrorCode.BAD_REQUEST,
    core.TopicExists: ErrorCode.TOPIC_EXISTS,
    core.TopicNotFound: ErrorCode.TOPIC_NOT_FOUND,
    core.NotSubscribed: ErrorCode.NOT_SUBSCRIBED,
    core.LimitExceeded: ErrorCode.LIMIT_EXCEEDED,
}


def error_code(error: core.PubSubError) -> ErrorCode:
    """Return the code for what the broker refused; ``INTERNAL`` where no client is to blame."""
    return _CODES.get(type(error), ErrorCode.INTERNAL)
