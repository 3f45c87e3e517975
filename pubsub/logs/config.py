"""Django's setting ``LOGGING``, and the hooks for what Python itself would print."""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

from pubsub.logs.access import ACCESS_LOGGER
from pubsub.logs.rendering import STYLES

logger = logging.getLogger("python")

_PASS_ON: dict[str, Any] = {"handlers": [], "propagate": True}


def configuration(style: str = "console") -> dict[str, Any]:
    """Return a value for ``LOGGING``, which the project may extend.

    All lines go to standard error. The level of the root logger is left as it is: Daphne's option
    ``-v`` sets it.

    Args:
        style: ``console`` for people, or ``json`` for one JSON object a line.

    Raises:
        ValueError: There is no such style.
    """
    if style not in STYLES:
        raise ValueError(f"must be {' or '.join(STYLES)}, not {style!r}")
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "pubsub.logs.rendering.LineFormatter", "style": style}},
        "handlers": {
            "standard_error": {"class": "pubsub.logs.handler.LineHandler", "formatter": "line"}
        },
        "root": {"handlers": ["standard_error"]},
        "loggers": {
            # `daphne -v 2` shows the details.
            "pubsub": {"level": min(logging.INFO, logging.getLogger().level)},
            ACCESS_LOGGER: {"level": "INFO"},
            # These have handlers of their own by default.
            "django": {**_PASS_ON, "level": "INFO"},
            "django.server": {**_PASS_ON},
            "uvicorn": {**_PASS_ON},
            "uvicorn.access": {**_PASS_ON},
            "uvicorn.error": {**_PASS_ON},
        },
    }


def is_in_use() -> bool:
    """Return whether the project uses `configuration`, or has given `ACCESS_LOGGER` a level."""
    return logging.getLogger(ACCESS_LOGGER).level != logging.NOTSET


def capture() -> None:
    """Log warnings and uncaught exceptions, which Python would print in a form of its own.

    A hook that somebody else has set stays. Call this in ``asgi.py``, so that it applies to the
    server and not to management commands.
    """
    logging.captureWarnings(True)
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _log_exception
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _log_exception_of_thread
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _log_unraisable


def _log_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, Exception):
        logger.critical("Uncaught exception", exc_info=(kind, error, trace))
    else:
        sys.__excepthook__(kind, error, trace)


def _log_exception_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and isinstance(args.exc_value, Exception):
        name = args.thread.name if args.thread else "?"
        logger.error("Uncaught exception in the thread %s", name, exc_info=args.exc_value)


def _log_unraisable(args: "sys.UnraisableHookArgs") -> None:
    # The representation of the object may contain anything.
    what = args.err_msg or "Exception ignored in"
    kind = type(args.object).__name__
    logger.error("%s: an object of type %s", what, kind, exc_info=args.exc_value)
