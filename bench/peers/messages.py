"""The messages that the Python peers send, as objects to be encoded."""

from datetime import UTC, datetime
from typing import Any


def timestamp() -> str:
    """Return the time as the chat room writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ack(command: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a command."""
    reply = {"type": "ack", "topic": command.get("topic"), "status": "ok", "ts": timestamp()}
    if "request_id" in command:
        reply["request_id"] = command["request_id"]
    return reply


def event(topic: str, message: Any) -> dict[str, Any]:
    """Return what subscribers get for a message."""
    return {"type": "event", "topic": topic, "message": message, "ts": timestamp()}
