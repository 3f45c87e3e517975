"""The bounds of HTTP connections, as the application chooses them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """The bounds of HTTP connections."""

    max_body: int
    """Bytes of a request body, and of the body of a WebSocket handshake."""

    is_bounded: Callable[[str], bool]
    """Whether `max_body` applies to a path; other paths of a site may take uploads."""

    request_timeout: float
    """Seconds from the first byte of a request to the last one of its body."""

    write_timeout: float
    """Seconds for which a client may read nothing of a response that waits for it."""
