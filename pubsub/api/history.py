"""Which past messages a request asks for."""

from typing import Any

from django.http import HttpRequest

from pubsub.core.options import MAX_HISTORY
from pubsub.core.publication import Position
from pubsub.protocol.errors import BadRequest
from pubsub.protocol.messages import DEFAULT_HISTORY

_MAX_DIGITS = 19
"""Digits of an offset: more than any topic will ever need."""

PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "limit",
        "in": "query",
        "description": "The largest number of messages; there are fewer if they exceed 256 KiB.",
        "schema": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_HISTORY,
            "default": DEFAULT_HISTORY,
        },
    },
    {
        "name": "since_offset",
        "in": "query",
        "description": "The offset after which the messages begin; it needs `epoch`.",
        "schema": {"type": "integer", "minimum": 0},
    },
    {
        "name": "epoch",
        "in": "query",
        "description": "The epoch of `since_offset`.",
        "schema": {"type": "string"},
    },
]
"""The query of the endpoint, for the OpenAPI document."""


def read_query(request: HttpRequest) -> tuple[Position | None, int]:
    """Return the position after which a request wants messages, if it has one, and their number.

    Raises:
        BadRequest: A parameter is invalid, or one of ``since_offset`` and ``epoch`` is missing.
    """
    query = request.GET
    limit = _integer(query.get("limit", str(DEFAULT_HISTORY)))
    if limit is None or not 1 <= limit <= MAX_HISTORY:
        raise BadRequest(f"limit must be an integer from 1 to {MAX_HISTORY}")
    given, epoch = query.get("since_offset"), query.get("epoch")
    if given is None and epoch is None:
        return None, limit
    if epoch is None:
        raise BadRequest("epoch is required with since_offset")
    if given is None:
        raise BadRequest("since_offset is required with epoch")
    offset = _integer(given)
    if offset is None:
        raise BadRequest("since_offset must be an integer of at least 0")
    return Position(epoch, offset), limit


def _integer(text: str) -> int | None:
    is_integer = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    return int(text) if is_integer else None
