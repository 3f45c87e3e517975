"""Finds the credentials in the opening handshake of a WebSocket, and in a request for a stream."""

from collections.abc import Mapping
from typing import Any

SUBPROTOCOL = "chatroom.v1"
"""The subprotocol that the server selects if the client offers it."""

BEARER_PREFIX = "chatroom.bearer."
"""Begins the subprotocol with which a browser, which cannot set headers, passes its token."""


def token_of(scope: Mapping[str, Any]) -> str | None:
    """Return the token in the headers (RFC 6750 §2.1) or else in the subprotocols, if any."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    # Two headers are no token, just as Django joins them for REST.
    scheme, _, token = b",".join(values).decode("latin-1").partition(" ")
    if scheme.lower() == "bearer":  # schemes have no case (RFC 9110 §11.1)
        return str(token.strip())
    for offered in scope.get("subprotocols", ()):
        if offered.startswith(BEARER_PREFIX):
            return str(offered.removeprefix(BEARER_PREFIX))
    return None


def api_key_of(scope: Mapping[str, Any]) -> str | None:
    """Return the API key in the header ``X-API-Key``; ``None`` if there is none."""
    values = [value for name, value in scope["headers"] if name == b"x-api-key"]
    return b",".join(values).decode(errors="replace") if values else None


def user_of(scope: Mapping[str, Any]) -> Any:
    """Return the user of the Django session, if it is authenticated."""
    user = scope.get("user")
    return user if getattr(user, "is_authenticated", False) else None


def subprotocol_of(scope: Mapping[str, Any]) -> str | None:
    """Return the subprotocol to select: never one that contains a token."""
    return SUBPROTOCOL if SUBPROTOCOL in scope.get("subprotocols", ()) else None
