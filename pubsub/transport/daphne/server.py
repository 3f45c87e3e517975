"""Hooks into Daphne's server: whether it runs, where its protocols are, and how it stops."""

import asyncio
import contextlib
import functools
import sys
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, cast

SCOPE_KEY = "pubsub.daphne"
"""Key in the scope of a connection: a weak reference to Daphne's protocol or request."""


def is_running() -> bool:
    """Return whether Daphne serves this process."""
    reactor = sys.modules.get("twisted.internet.reactor")
    return bool(getattr(reactor, "running", False))


def refer_to_protocols() -> None:
    """Put a reference to Daphne's protocol or request into every scope. Safe to call twice.

    So the transport finds the protocol even if a middleware wraps ``send``, as Channels' own
    SessionMiddleware does.
    """
    from daphne.server import Server

    create_application = getattr(Server, "create_application", None)
    # Without it every connection is warned of: it is a name that the transport relies on.
    if create_application is None or hasattr(create_application, "__wrapped__"):
        return

    @functools.wraps(create_application)
    def with_protocol_in_scope(server: Any, protocol: Any, scope: dict[str, Any]) -> Any:
        scope[SCOPE_KEY] = weakref.ref(protocol)
        if scope["type"] == "websocket":
            _break_cycle(protocol)
        return create_application(server, protocol, scope)

    Server.create_application = with_protocol_in_scope


def _break_cycle(protocol: Any) -> None:
    """Let a protocol that is never taken over be freed by its last reference.

    When its socket is closed, Autobahn makes the protocol the result of the protocol's own
    ``is_closed``, a Deferred that nobody reads.
    """
    with contextlib.suppress(AttributeError):
        protocol.is_closed.addCallback(lambda _: None)


def after_start(start: Callable[[], object]) -> None:
    """Have Daphne call ``start`` on its event loop as soon as that runs."""
    from twisted.internet import reactor

    # Twisted starts before asyncio's loop runs, and what it calls then is not in the loop yet.
    cast(Any, reactor).callWhenRunning(lambda: cast(Any, reactor).callLater(0, start))


def before_stop(start_drain: Callable[[], Awaitable[None]]) -> None:
    """Have Daphne call ``start_drain`` when it stops, and await the result.

    Daphne itself cancels the applications and closes the sockets without a close frame.
    ``start_drain`` is called in the same tick, before any of the cancelled applications runs again.
    """
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    def drain() -> "Deferred[None]":
        return Deferred.fromFuture(asyncio.ensure_future(start_drain()))

    cast(Any, reactor).addSystemEventTrigger("before", "shutdown", drain)
