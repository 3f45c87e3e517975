"""Has the lines of Daphne and Twisted go through `logging`, where `pubsub.logs` is in use.

Daphne writes its access log to standard output itself, and with its default verbosity it discards
everything that Twisted has to say, errors included.
"""

import functools
import logging
import sys
from pathlib import Path
from typing import Any, cast

from pubsub import logs
from pubsub.transport.daphne import foreign


def install() -> None:
    """Redirect the lines, and log the end of the server. Safe to call twice."""
    from twisted.internet import reactor

    _log_stop(reactor)
    if logs.is_in_use():
        _redirect_access_log()
        # Otherwise Daphne itself passes on whatever Twisted says.
        if not logging.getLogger("daphne.server").isEnabledFor(logging.DEBUG):
            _log_errors_of_twisted()


@functools.cache
def _log_stop(reactor: Any) -> None:
    reactor.addSystemEventTrigger("after", "shutdown", logs.server_stopped)


def _redirect_access_log() -> None:
    if missing := foreign.missing(foreign.ACCESS_LOG):
        foreign.warn_once(", ".join(missing), "the access log has Daphne's own form")
        return
    from daphne.access import AccessLogGenerator

    write = AccessLogGenerator.__call__
    if hasattr(write, "__wrapped__"):
        return

    @functools.wraps(write)
    def log(generator: Any, protocol: str, action: str, details: dict[str, Any]) -> None:
        # Twisted replaces `sys.stdout` with `-v 2`.
        if generator.stream in (sys.stdout, sys.__stdout__):
            logs.access(protocol, action, details)
        else:  # a file that was chosen with --access-log
            write(generator, protocol, action, details)

    AccessLogGenerator.__call__ = log


@functools.cache
def _log_errors_of_twisted() -> None:
    """Log one line for each error, without its traceback.

    Some can be caused by any client, such as a handshake that ends before Daphne expects it.
    """
    from twisted.logger import LogLevel, formatEvent, globalLogPublisher

    def observe(event: dict[str, Any]) -> None:
        if event["log_level"] < LogLevel.error:
            return
        failure = event.get("log_failure") or event.get("failure")
        if failure is None:
            logs.twisted_error(formatEvent(event))
        else:
            places = [f"{Path(file).name}:{line}" for _, file, line, *_ in failure.frames[-1:]]
            logs.twisted_error(
                failure.getErrorMessage(), reason=failure.type.__name__, place="".join(places)
            )

    globalLogPublisher.addObserver(cast(Any, observe))
