"""What a relay returns and reports."""

from typing import NamedTuple


class Entry(NamedTuple):
    """An entry of a log. Offsets grow, with holes."""

    offset: int
    data: bytes


class Appended(NamedTuple):
    """Where an entry is in its log, and whether it was there already."""

    offset: int
    duplicate: bool


class Snapshot(NamedTuple):
    """All keys with values and revisions, as of a revision.

    The store ids change when a store has lost its contents. ``last_offset`` is that of all logs.
    """

    entries: dict[str, tuple[bytes, int]]
    revision: int
    registry_store: str
    log_store: str
    last_offset: int


class RelayStatistics(NamedTuple):
    """What a relay has done so far; messages and bytes include requests and their answers."""

    connected: bool
    reconnections: int
    sent_messages: int
    sent_bytes: int
    received_messages: int
    received_bytes: int
    dropped: dict[str, int]
    """Messages by reason: ``disconnected``, ``buffer_full``, ``too_large``, ``slow_consumer``."""
    buffered_bytes: int
