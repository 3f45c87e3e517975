"""The bounds of HTTP connections that the application chooses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """The bounds of HTTP connections."""

    max_handshake_body: int
    """Largest size in bytes of the body of a WebSocket handshake."""

    max_body: Callable[[str], int | None]
    """Returns the largest size in bytes of a request body for a path; ``None`` for no limit.

    Other paths of a site may accept uploads."""

    request_timeout: float
    """Seconds from the first byte of a request to the last one of its body."""

    write_timeout: float
    """Seconds that a client may read nothing while a response is waiting."""

    accepts_websockets: Callable[[], bool] = lambda: True
    """Returns whether handshakes are passed on; otherwise they are refused with 503."""

    headers_for: Callable[[str], Mapping[str, str]] = lambda origin: {}
    """Returns the headers of a refusal for the page of an origin, which may be empty."""

    trusts: Callable[[str], bool] = lambda address: True
    """Returns whether the peer with an IP address is a proxy that may move the root of the site."""
