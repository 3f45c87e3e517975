"""Pages of listings: which one a request asks for, and the fields of one that is cut off."""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import msgspec
from django.http import HttpRequest

from pubsub.protocol.errors import BadRequest

MAX_LIMIT = 1000
"""Rows of a page, unless the request asks for fewer."""

PARAMETERS = [
    {
        "name": "prefix",
        "in": "query",
        "description": "Only rows whose name (for clients: id) begins with it.",
        "schema": {"type": "string"},
    },
    {
        "name": "limit",
        "in": "query",
        "description": "The largest number of rows.",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": MAX_LIMIT},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "The `next` of the page before this one.",
        "schema": {"type": "string"},
    },
]
"""The query parameters of a listing, for the OpenAPI document."""


@dataclass(frozen=True, slots=True)
class Page:
    """The page that a request asks for."""

    prefix: str
    """How the names or ids of its rows begin."""

    limit: int
    """The largest number of rows, from 1 to `MAX_LIMIT`."""

    after: str | int | None
    """The key of the last row before it, a topic's name or a client's position; ``None`` at first.
    """

    @property
    def after_client(self) -> int:
        """The position of the last client before it, or 0."""
        return self.after if isinstance(self.after, int) else 0


def read_page(request: HttpRequest, *keys: type) -> Page:
    """Return the page that ``prefix``, ``limit`` and ``cursor`` in the query string ask for.

    Args:
        request: The request.
        keys: The types of the keys that the listing has: ``str`` for topics, ``int`` for clients.

    Raises:
        BadRequest: The limit or the cursor is invalid.
    """
    limit = request.GET.get("limit", str(MAX_LIMIT))
    is_number = limit.isascii() and limit.isdecimal() and len(limit) <= len(str(MAX_LIMIT))
    if not is_number or not 1 <= int(limit) <= MAX_LIMIT:
        raise BadRequest(f"limit must be an integer from 1 to {MAX_LIMIT}")
    cursor = request.GET.get("cursor")
    after = None if cursor is None else _decode_cursor(cursor)
    if not (after is None or isinstance(after, keys)):
        raise BadRequest("cursor belongs to another listing")
    return Page(request.GET.get("prefix", ""), int(limit), after)


def encode_cursor(key: str | int) -> str:
    """Return the cursor of the page that begins after the row with this key.

    It names a position in the order of the rows, so it stays valid when rows are added and removed,
    including the one that it was made from. Its checksum tells it from other text.
    """
    content = msgspec.json.encode(key)
    return urlsafe_b64encode(zlib.crc32(content).to_bytes(4) + content).decode().rstrip("=")


def _decode_cursor(cursor: str) -> str | int:
    try:
        content = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[4:]
        key = msgspec.json.decode(content, type=str | int)
        if encode_cursor(key) == cursor:
            return key
    except (ValueError, OverflowError):
        pass
    raise BadRequest("cursor must be the next of an earlier page")


def cut(key: str | int, total: int) -> dict[str, Any]:
    """Return the fields of a page that is not the last one.

    Args:
        key: The key of its last row.
        total: The number of rows of the whole listing.
    """
    return {"truncated": True, "next": encode_cursor(key), "total": total}
