"""The messages that the Python peers send."""

import json
from datetime import UTC, datetime
from typing import Any


def timestamp() -> str:
    """Return the current time in the format of the chat room."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ack(command: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a command."""
    return {
        "type": "ack",
        "request_id": command["request_id"],
        "topic": command.get("topic"),
        "status": "ok",
        "ts": timestamp(),
    }


def event(topic: str, message: Any) -> dict[str, Any]:
    """Return what subscribers get for a message."""
    return {"type": "event", "topic": topic, "message": message, "ts": timestamp()}


def encode(message: dict[str, Any]) -> str:
    """Return a message as JSON without spaces, so that all peers send the same bytes."""
    return json.dumps(message, separators=(",", ":"))
