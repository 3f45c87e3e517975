"""Whether the relay takes the largest message of a client."""

from pubsub import logs
from pubsub.core.configuration import Configuration
from pubsub.relay.base import Relay
from pubsub.relay.errors import Unavailable

OVERHEAD = 4096
"""Bytes that a message of a client may grow by on its way to other processes."""


def bytes_needed(config: Configuration) -> int:
    """Return the bytes that the relay has to take in one message."""
    return config.max_message_bytes + OVERHEAD


class Capacity:
    """Keeps a process from joining a room whose relay takes too little.

    Args:
        relay: The relay, whose largest message may change with each connection.
        config: The configuration of the broker.
    """

    def __init__(self, relay: Relay, config: Configuration) -> None:
        self._relay = relay
        self._needed = bytes_needed(config)
        self._too_small: int | None = None
        """What the relay took at most when that was logged as too little."""

    def check(self) -> None:
        """Check that the connected relay takes enough; if not, log it once for each size.

        Raises:
            Unavailable: It does not.
        """
        offered = self._relay.max_bytes
        if offered >= self._needed:
            return
        if offered != self._too_small:
            self._too_small = offered
            logs.relay_too_small(max_payload=offered, needed=self._needed)
        raise Unavailable("its largest message is too small")

    def __repr__(self) -> str:
        return f"<Capacity {self._relay.max_bytes} of {self._needed} bytes>"
