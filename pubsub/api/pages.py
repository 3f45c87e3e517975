"""Pages of listings: which one a request asks for, its rows in slices, and its JSON.

A page of a large room is collected and encoded in slices of bounded work, one in each turn of the
event loop (see `pubsub.turns`), so that no question keeps the other clients waiting.
"""

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from pubsub.protocol.errors import BadRequest
from pubsub.responses import json_response
from pubsub.turns import Turns

Row = TypeVar("Row")

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

CHUNK_BYTES = 32 * 1024
"""Bytes of a response that are joined. To join megabytes takes ten milliseconds on a busy machine,
mostly to get the memory from the system."""


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
    def after_topic(self) -> str:
        """The name of the last topic before it, or ``""``."""
        return self.after if isinstance(self.after, str) else ""

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


async def collect(
    turns: Turns, slices: Iterator[list[Row]], limit: int, write: Callable[[list[Row]], None]
) -> Row | None:
    """Pass the first ``limit`` rows to ``write``, one slice in each turn of the event loop.

    Returns:
        The last one of them if more rows follow; otherwise ``None``.
    """
    last = None
    for rows in slices:
        if len(rows) > limit:
            if limit:
                write(rows[:limit])
                last = rows[limit - 1]
            return last
        if rows:
            write(rows)
            last = rows[-1]
            limit -= len(rows)
        await turns.wait()
    return None


async def count(turns: Turns, slices: Iterator[list[Row]]) -> int:
    """Return the number of rows, counted one slice in each turn of the event loop."""
    number = 0
    await turns.wait()
    for rows in slices:
        number += len(rows)
        await turns.wait()
    return number


class Document:
    """A JSON object, encoded piece by piece."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._chunk = bytearray(b"{")

    def add(self, members: dict[str, Any] | list[Any]) -> None:
        """Add members to the object or array that is open."""
        if members:
            self.add_encoded(msgspec.json.encode(members)[1:-1])

    def add_encoded(self, members: bytes) -> None:
        """Add members that are JSON already, separated by commas."""
        chunk = self._chunk
        if chunk[-1] not in b"{[":
            chunk += b","
        if len(chunk) >= CHUNK_BYTES:
            self._chunks.append(bytes(chunk))
            chunk = self._chunk = bytearray()
        chunk += members

    def open(self, name: str, bracket: bytes) -> None:
        """Begin a member that is an object (``{``) or an array (``[``)."""
        self.add_encoded(msgspec.json.encode(name) + b":" + bracket)

    def close(self, bracket: bytes) -> None:
        """End it."""
        self._chunk += bracket

    def response(self) -> HttpResponseBase:
        """End the object and return it, as one piece if it is small."""
        self.close(b"}")
        if not self._chunks:
            return json_response(bytes(self._chunk))
        self._chunks.append(bytes(self._chunk))
        response = StreamingHttpResponse(_in_order(self._chunks), content_type="application/json")
        response["Content-Length"] = str(sum(map(len, self._chunks)))
        return response


async def _in_order(chunks: list[bytes]) -> AsyncIterator[bytes]:
    """Yield the chunks, and release each of them as soon as it is sent."""
    chunks.reverse()
    while chunks:
        yield chunks.pop()
