"""The transport for Daphne, bounds for HTTP on Daphne, and a hook for Daphne's shutdown."""

from pubsub.transport.daphne import http
from pubsub.transport.daphne.http_limits import HttpLimits
from pubsub.transport.daphne.server import before_stop, is_running, refer_to_protocols
from pubsub.transport.daphne.takeover import prepare

__all__ = ["HttpLimits", "before_stop", "install", "is_running", "prepare"]


def install(limits: HttpLimits) -> None:
    """Prepare Daphne, if it is the server. Call this while the application is being created."""
    refer_to_protocols()
    http.install(limits)
