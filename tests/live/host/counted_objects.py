"""The chat room without a garbage collector, with a path that counts the remaining objects.

``GET /objects`` returns the number of objects of each type that belongs to the chat room, Autobahn,
wsproto or Daphne's WebSocket protocol.
"""

import gc
import json
from collections import Counter
from typing import Any

from chatroom_project.asgi import application as chat_room

PACKAGES = ("pubsub.", "autobahn.", "daphne.ws_protocol", "wsproto.")

HTTP_REQUEST = "pubsub.transport.daphne.http_channel.Request"
"""Not counted: Django itself leaves reference cycles behind that hold the ``send`` of a request.

The request of a handshake refers to its channel, and that is counted."""

gc.disable()


def count() -> dict[str, int]:
    """Return the number of objects of each type."""
    types = Counter(type(each) for each in gc.get_objects())
    names = {
        f"{of.__module__}.{of.__qualname__}": number
        for of, number in types.items()
        if of.__module__.startswith(PACKAGES)
    }
    names.pop(HTTP_REQUEST, None)
    return names


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the path and pass everything else to the chat room."""
    if scope["type"] == "http" and scope["path"] == "/objects":
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(count()).encode()})
    else:
        await chat_room(scope, receive, send)
