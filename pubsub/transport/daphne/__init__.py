"""The transport for Daphne, and how Daphne is told to wait when it stops."""

from pubsub.transport.daphne.server import before_stop, is_running, wait_closed
from pubsub.transport.daphne.transport import open_transport

__all__ = ["before_stop", "is_running", "open_transport", "wait_closed"]
