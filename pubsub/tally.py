"""What a process counts beside the topics: connections, commands and failures.

The labels of all counts are fixed sets, so no client can make them grow.
"""

from collections import defaultdict
from enum import StrEnum

from pubsub.auth.errors import AccessError, ExpiredToken, Forbidden, InvalidKey, InvalidToken
from pubsub.protocol.codes import Close, ErrorCode
from pubsub.protocol.messages import COMMAND_TYPES, COMMANDS, AnyCommand

OTHER = "other"
"""Stands for every close code that is not in `CLOSE_CODES`."""

INVALID = "invalid"
"""Stands for the type of a message that is not a valid command."""

CLOSE_CODES = frozenset([*range(1000, 1016), *(close.code for close in Close)])
"""The close codes of RFC 6455 §7.4.1 and its registry, and the server's own."""


class AuthFailure(StrEnum):
    """Why credentials were not sufficient."""

    MISSING = "missing"
    """There were none, and they are required."""
    INVALID = "invalid"
    """A token is malformed, has a wrong signature or a wrong claim."""
    EXPIRED = "expired"
    API_KEY = "api_key"
    """An API key is unknown."""
    FORBIDDEN = "forbidden"
    """They do not cover the topic or the action."""
    STALE = "stale"
    """The client did not authenticate in time."""
    LIMIT = "limit"
    """The user has too many connections."""


_REASONS: dict[type, AuthFailure] = {
    ExpiredToken: AuthFailure.EXPIRED,
    InvalidToken: AuthFailure.INVALID,
    InvalidKey: AuthFailure.API_KEY,
    Forbidden: AuthFailure.FORBIDDEN,
}


class Tally:
    """Counts of a process since it started, as plain integers."""

    __slots__ = (
        "auth_failures",
        "closed",
        "commands",
        "failed",
        "opened",
        "rest_client_publications",
        "rest_publications",
    )

    def __init__(self) -> None:
        self.opened: dict[str, int] = defaultdict(int, websocket=0, sse=0)
        """Accepted connections, by the `kind` of their transports."""
        self.closed: dict[str, int] = dict.fromkeys([*map(str, sorted(CLOSE_CODES)), OTHER], 0)
        """Ended connections, by close code."""
        self.commands: dict[type[AnyCommand], int] = dict.fromkeys(COMMANDS, 0)
        """Valid commands, by type, whether they could be carried out or not. Publications are not
        among them: the broker counts those that it carries out."""
        self.failed: dict[tuple[str, ErrorCode], int] = defaultdict(int)
        """Commands that were answered with an error, by type and error code."""
        # The first fault of the server's own is an increase only if there was a zero before.
        self.failed.update({(tag, ErrorCode.INTERNAL): 0 for tag in COMMAND_TYPES})
        self.rest_publications = 0
        """Messages published over REST."""
        self.rest_client_publications = 0
        """Those of them that a connected client published (``X-Client-Id``); the broker counts them
        among the publications of clients."""
        self.auth_failures: dict[str, int] = {str(reason): 0 for reason in AuthFailure}
        """Clients and requests without sufficient credentials, by reason."""

    def count_end(self, close_code: int) -> None:
        """Count a connection that has ended."""
        self.closed[str(close_code) if close_code in CLOSE_CODES else OTHER] += 1

    def count_failure(self, command: AnyCommand | None, code: ErrorCode) -> None:
        """Count a command that was answered with an error; ``None`` is one that is not valid."""
        tag = INVALID if command is None else str(command.__struct_config__.tag)
        self.failed[tag, code] += 1

    def count_auth_failure(self, reason: AuthFailure) -> None:
        """Count a client or a request without sufficient credentials."""
        self.auth_failures[reason] += 1

    def count_access_error(self, error: AccessError) -> None:
        """Count a command or a request that was refused with this error."""
        reasons = (_REASONS[base] for base in type(error).__mro__ if base in _REASONS)
        self.count_auth_failure(next(reasons, AuthFailure.MISSING))
