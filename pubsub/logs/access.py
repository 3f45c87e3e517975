"""Requests and connections, as servers report them for their access logs."""

import logging
from typing import Any

from pubsub.logs.events import Event

ACCESS_LOGGER = "pubsub.access"
"""The logger of these lines."""

logger = logging.getLogger(ACCESS_LOGGER)

_EVENTS = {
    ("http", "complete"): "http_request",
    ("websocket", "connected"): "websocket_connected",
    ("websocket", "rejected"): "websocket_rejected",
    ("websocket", "disconnected"): "websocket_disconnected",
}

_RUNSERVER = {
    "HANDSHAKING": "websocket_connecting",
    "CONNECT": "websocket_connected",
    "REJECT": "websocket_rejected",
    "DISCONNECT": "websocket_disconnected",
}
"""The second word of a line about a WebSocket."""


def access(protocol: str, action: str, details: dict[str, Any]) -> None:
    """Log what Daphne reports to its action logger, except that a handshake has begun."""
    name = _EVENTS.get((protocol, action))
    if name is not None and logger.isEnabledFor(logging.INFO):
        logger.info(_event(name, details))


def from_foreign(name: str, message: str, args: Any) -> Event | None:
    """Return the event in an access line of ``runserver`` or uvicorn, or ``None``.

    Args:
        name: The name of the logger.
        message: The message, formatted or not.
        args: The arguments of the message.
    """
    if name == "django.channels.server" and isinstance(args, dict):
        kind, word, *_ = f"{message} ?".split()
        return _event(_RUNSERVER[word] if kind == "WebSocket" else "http_request", args)
    if name == "uvicorn.access" and isinstance(args, tuple) and len(args) == 5:
        client, method, path, _, status = args
        details = {"client": client, "method": method, "path": path, "status": status}
        return _event("http_request", details)
    return None


def _event(name: str, details: dict[str, Any]) -> Event:
    # The query is left out, because clients put secrets there.
    address, _, port = (details.get("client") or "").rpartition(":")
    taken = details.get("time_taken")
    return Event(
        name,
        {
            "method": details.get("method"),
            "path": str(details.get("path", "")).partition("?")[0],
            "status": details.get("status"),
            "bytes": details.get("size"),
            "seconds": None if taken is None else round(taken, 4),
            "address": address or None,
            "port": int(port) if port.isdigit() else None,
        },
    )
