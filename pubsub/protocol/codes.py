"""The error codes and the close codes that clients see."""

from enum import Enum, StrEnum


class ErrorCode(StrEnum):
    """The error codes, in ``error`` messages and in the bodies of REST errors."""

    BAD_REQUEST = "BAD_REQUEST"
    TOPIC_NOT_FOUND = "TOPIC_NOT_FOUND"
    TOPIC_EXISTS = "TOPIC_EXISTS"
    NOT_SUBSCRIBED = "NOT_SUBSCRIBED"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    RATE_LIMITED = "RATE_LIMITED"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    SLOW_CONSUMER = "SLOW_CONSUMER"
    UNAVAILABLE = "UNAVAILABLE"
    RELAY_GAP = "RELAY_GAP"
    INTERNAL = "INTERNAL"

    # Only for REST.
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    UNSUPPORTED_MEDIA_TYPE = "UNSUPPORTED_MEDIA_TYPE"
    UPGRADE_REQUIRED = "UPGRADE_REQUIRED"


class Close(Enum):
    """Why the server closes a connection.

    Codes from 3000 to 3499 ask the client to reconnect, and codes from 3500 to 3999 ask it not to.
    1011 is defined by RFC 6455 §7.4.1.
    """

    INTERNAL = (1011, "internal error")
    SHUTDOWN = (3001, "shutdown")
    EXPIRED = (3005, "expired")
    SLOW = (3008, "slow")
    NO_PONG = (3012, "no pong")
    TOO_MANY_REQUESTS = (3013, "too many requests")
    INVALID_TOKEN = (3500, "invalid token")
    BAD_REQUEST = (3501, "bad request")
    STALE = (3502, "stale")
    FORCE_DISCONNECT = (3503, "force disconnect")
    CONNECTION_LIMIT = (3504, "connection limit")

    @property
    def code(self) -> int:
        """The status code of the close frame (RFC 6455 §7.4)."""
        return self.value[0]

    @property
    def reason(self) -> str:
        """The reason in the close frame."""
        return self.value[1]
