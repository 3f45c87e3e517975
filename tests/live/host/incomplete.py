"""The chat room on a Daphne that lacks a name, as may happen after an upgrade.

``GET /hide/<place>/<name>`` hides a name from the chat room's code only; ``GET /restore`` restores
all names.
"""

import json
import sys
from typing import Any

from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import tcp

from chatroom_project.asgi import application as chat_room

PLACES: dict[str, type] = {
    "PROTOCOL": WebSocketProtocol,
    "FACTORY": WebSocketFactory,
    "SERVER": Server,
    "TRANSPORT": tcp.Server,
    "BUFFER": tcp.Server,
    "DIRECT": tcp.Server,
}


def hide(of: type, missing: str) -> None:
    """Hide a name of a class from the chat room's code."""
    getattribute = of.__getattribute__

    def without(self: Any, name: str) -> Any:
        if name == missing and sys._getframe(1).f_globals["__name__"].startswith("pubsub."):
            raise AttributeError(f"there is no {of.__name__}.{name}")
        return getattribute(self, name)

    of.__getattribute__ = without  # type: ignore[method-assign]


def restore() -> None:
    """Restore all names."""
    for of in PLACES.values():
        if "__getattribute__" in vars(of):
            del of.__getattribute__


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the two paths and pass everything else to the chat room."""
    if scope["type"] == "http" and scope["path"].startswith(("/hide/", "/restore")):
        match scope["path"].split("/")[1:]:
            case ["hide", place, name]:
                hide(PLACES[place], name)
            case _:
                restore()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(None).encode()})
    else:
        await chat_room(scope, receive, send)
