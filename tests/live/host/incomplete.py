"""The chat room on a Daphne that lacks a name, as it may after an upgrade.

``GET /hide/<place>/<name>`` hides a name of `foreign.WEBSOCKET` from the chat room, and from it
alone; ``GET /restore`` shows all names again.
"""

import json
import sys
from typing import Any

from chatroom_project.asgi import application as chat_room
from pubsub.transport.daphne import foreign


def hide(of: type, missing: str) -> None:
    """Hide a name of a class from the code of the chat room."""
    getattribute = of.__getattribute__

    def without(self: Any, name: str) -> Any:
        if name == missing and sys._getframe(1).f_globals["__name__"].startswith("pubsub."):
            raise AttributeError(f"there is no {of.__name__}.{name}")
        return getattribute(self, name)

    of.__getattribute__ = without  # type: ignore[method-assign]


def restore() -> None:
    """Show all names again."""
    for of in map(foreign.find, foreign.WEBSOCKET):
        if "__getattribute__" in vars(of):
            del of.__getattribute__


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the two paths, and hand over everything else."""
    if scope["type"] == "http" and scope["path"].startswith(("/hide/", "/restore")):
        match scope["path"].split("/")[1:]:
            case ["hide", place, name]:
                hide(foreign.find(place), name)
            case _:
                restore()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(None).encode()})
    else:
        await chat_room(scope, receive, send)
