"""The transport for Daphne, and how Daphne is made to wait when it stops."""

from pubsub.transport.daphne.server import before_stop, install, is_running
from pubsub.transport.daphne.takeover import prepare

__all__ = ["before_stop", "install", "is_running", "prepare"]
