"""File descriptors: raises the limit of the process, and keeps a few of them for HTTP."""

import functools
import logging
import resource
from typing import Any, cast

logger = logging.getLogger(__name__)

MAX_RESERVED = 64
"""Descriptors that WebSockets may not take, so that health checks and pages still get some."""


def raise_limit_when_running() -> None:
    """Have `raise_limit` called when Daphne starts."""
    from twisted.internet import reactor

    cast(Any, reactor).callWhenRunning(raise_limit)


@functools.cache
def raise_limit() -> None:
    """Raise the soft limit of open files to the hard limit, and log it. The first call counts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    logger.info("At most %d files and connections can be open (the soft limit was %d)", hard, soft)


def are_short(descriptor: int) -> bool:
    """Return whether a connection with this descriptor takes one of those that are reserved.

    The kernel gives out the lowest number that is free, so a number close to the limit shows that
    nearly all are taken.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 < limit - descriptor <= min(MAX_RESERVED, limit // 8)
