"""Rows of listings from several processes, in one order."""

from operator import attrgetter
from typing import Any

import msgspec

_ORDER = attrgetter("joined", "id")


class ClientRow(msgspec.Struct, array_like=True, gc=False):
    """One client; see `ClientStatistics`."""

    joined: int
    id: str
    user: str | None
    connected_sec: int
    topics: int
    queued: int
    dropped: int


class Subscriber(msgspec.Struct, array_like=True):
    """One client with its topics."""

    joined: int
    id: str
    topics: list[str]


class FirstRows:
    """The first rows of several sorted lists.

    Args:
        size: The number of rows that are kept.
    """

    def __init__(self, size: int) -> None:
        self.rows: list[Any] = []
        self._size = size

    def add(self, rows: list[Any]) -> None:
        """Merge another list into them."""
        self.rows = sorted(self.rows + rows, key=_ORDER)[: self._size]  # quicker than heapq.merge


def end_of_page(rows: list[Any], limit: int) -> int:
    """Return where a page ends that does not separate rows of equal ``joined``.

    A cursor is that number alone. Clients of one process never share a number.
    """
    end = limit = min(limit, len(rows))
    while 0 < end < len(rows) and rows[end - 1].joined == rows[end].joined:
        end -= 1
    if not end:
        end = limit
        while 0 < end < len(rows) and rows[end - 1].joined == rows[end].joined:
            end += 1
    return end
