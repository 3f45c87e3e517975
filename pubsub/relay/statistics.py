"""What a relay counts."""

from typing import NamedTuple


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
