"""The transport for Daphne, bounds for HTTP on Daphne, and a hook for Daphne's shutdown."""

import sys

from pubsub.transport.daphne import http, log_lines
from pubsub.transport.daphne.http_limits import HttpLimits
from pubsub.transport.daphne.server import (
    before_stop,
    is_running,
    refer_to_protocols,
    stop_on_hangup,
)
from pubsub.transport.daphne.takeover import prepare

__all__ = ["HttpLimits", "before_stop", "install", "is_running", "prepare"]


def install(limits: HttpLimits) -> None:
    """Prepare Daphne, if it is the server. Call this while the application is being created.

    Nothing happens unless Daphne has been imported, which a process served by Daphne has done.
    Where another server runs although Daphne is imported, what is prepared is never used. The
    limits of the first call apply; later calls change nothing.
    """
    if "daphne.server" in sys.modules:
        refer_to_protocols()
        stop_on_hangup()
        http.install(limits)
        log_lines.install()
