"""Daphne as a process: whether it is the server, and how it stops."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from pubsub.transport.base import Transport

DRAIN_TIMEOUT = 3.0
"""Seconds that all clients together have for the closing handshake when the server stops."""


def is_running() -> bool:
    """Tell whether this process is served by Daphne."""
    reactor = sys.modules.get("twisted.internet.reactor")
    return bool(getattr(reactor, "running", False))


def before_stop(start_drain: Callable[[], Awaitable[None]]) -> None:
    """Have Daphne call ``start_drain`` when it is told to stop, and wait for what that returns.

    Daphne itself cancels the applications and closes the sockets, without a close frame. The call
    comes in the same tick, before any of the cancelled applications runs again.
    """
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    def drain() -> "Deferred[None]":
        return Deferred.fromFuture(asyncio.ensure_future(start_drain()))

    cast(Any, reactor).addSystemEventTrigger("before", "shutdown", drain)


async def wait_closed(transports: Sequence[Transport]) -> None:
    """Wait until all these connections are closed, `DRAIN_TIMEOUT` seconds at most."""
    deadline = asyncio.get_running_loop().time() + DRAIN_TIMEOUT
    while not all(transport.closed for transport in transports):
        if asyncio.get_running_loop().time() > deadline:
            return
        await asyncio.sleep(0.01)
