"""The transport for Daphne, bounds for HTTP on Daphne, and hooks for Daphne's start and stop."""

import sys
from collections.abc import Callable

from pubsub.transport.daphne import clock, descriptors, http, log_lines
from pubsub.transport.daphne.http_limits import HttpLimits
from pubsub.transport.daphne.server import after_start, before_stop, is_running, refer_to_protocols
from pubsub.transport.daphne.signals import Drain, handle_signals
from pubsub.transport.daphne.takeover import prepare, prepare_stream

__all__ = [
    "HttpLimits",
    "before_stop",
    "drain_on_signals",
    "install",
    "is_running",
    "prepare",
    "prepare_stream",
    "start_when_running",
]


def install(limits: HttpLimits) -> None:
    """Prepare Daphne, if it is the server. Call this while the application is being created.

    Nothing happens unless Daphne has been imported, which a process served by Daphne has done.
    Where another server runs although Daphne is imported, what is prepared is never used. The
    limits of the first call apply; later calls change nothing.
    """
    if "daphne.server" in sys.modules:
        clock.measure_monotonically()
        refer_to_protocols()
        descriptors.raise_limit_when_running()
        http.install(limits)
        log_lines.install()


def start_when_running(start: Callable[[], object]) -> None:
    """Have ``start`` called on the event loop as soon as Daphne runs.

    Call this while the application is being created. As with `install`, nothing happens on other
    servers.
    """
    if "daphne.server" in sys.modules:
        after_start(start)


def drain_on_signals(drain: Drain) -> None:
    """Have the signals that stop Daphne begin a drain; see `signals.handle_signals`.

    Call this while the application is being created. As with `install`, nothing happens on other
    servers, and the drain of the first call applies.
    """
    if "daphne.server" in sys.modules:
        handle_signals(drain)
