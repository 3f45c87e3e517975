"""The chat room, with two paths that count calls in its process.

``GET /count/start`` starts counting and ``GET /count/stop`` returns the counts. The interpreter's
own profiler counts, so nothing of the chat room is replaced or wrapped.

``CLUB_AUTHORIZER`` selects the project of `tests.live.host.club` with its sessions.
"""

import json
import os
import socket
import sys
from collections import Counter
from typing import Any

import msgspec

if "CLUB_AUTHORIZER" in os.environ:
    from tests.live.host.signed_in import application as chat_room
else:
    from chatroom_project.asgi import application as chat_room

counts: Counter[str] = Counter()

FUNCTIONS = {
    "call_soon": "hops",
    "create_task": "tasks",
    "run_in_executor": "threads",
    "addWriter": "detours",  # a write that Twisted defers to the selector
    "encode_event": "encodings",
    "deflate": "compressions",
    "processData": "detours",  # a message parsed by Autobahn
}


def count(frame: Any, event: str, called: Any) -> None:
    """Count a call if it is one of the expensive ones."""
    if event == "call" and frame.f_code.co_name in FUNCTIONS:
        counts[FUNCTIONS[frame.f_code.co_name]] += 1
    elif event == "c_call":
        of = getattr(called, "__self__", None)
        if called.__name__ == "send" and isinstance(of, socket.socket):
            counts[f"writes to {of.getpeername()[1]}"] += 1
        elif called.__name__ == "encode" and isinstance(of, msgspec.json.Encoder):
            counts["encodings"] += 1


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve the two paths and pass everything else to the chat room."""
    if scope["type"] != "http" or not scope["path"].startswith("/count/"):
        await chat_room(scope, receive, send)
        return
    sys.setprofile(None)
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(counts).encode()})
    counts.clear()
    if scope["path"] == "/count/start":
        sys.setprofile(count)
