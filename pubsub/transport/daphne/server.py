"""Daphne as a process: whether it is the server, what it is made to tell, and how it stops."""

import asyncio
import contextlib
import functools
import signal
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, cast

SCOPE_KEY = "pubsub.daphne"
"""Key in the scope of a WebSocket: a weak reference to Daphne's protocol."""


def is_running() -> bool:
    """Tell whether this process is served by Daphne."""
    reactor = sys.modules.get("twisted.internet.reactor")
    return bool(getattr(reactor, "running", False))


@functools.cache
def refer_to_protocols() -> None:
    """Have every WebSocket's scope refer to Daphne's protocol, if Daphne is the server.

    So a transport finds it, whatever middlewares put in the place of ``send``; Channels' own
    SessionMiddleware is one of them.
    """
    daphne = sys.modules.get("daphne.server")
    if daphne is None:
        return
    create_application = daphne.Server.create_application

    @functools.wraps(create_application)
    def with_protocol_in_scope(server: Any, protocol: Any, scope: dict[str, Any]) -> Any:
        if scope["type"] == "websocket":
            scope[SCOPE_KEY] = weakref.ref(protocol)
            _break_cycle(protocol)
        return create_application(server, protocol, scope)

    daphne.Server.create_application = with_protocol_in_scope


def _break_cycle(protocol: Any) -> None:
    """Let a protocol that is never taken over be freed by its last reference.

    When its socket is closed, Autobahn makes the protocol the result of the protocol's own
    ``is_closed``, a Deferred that nobody reads.
    """
    with contextlib.suppress(AttributeError):
        protocol.is_closed.addCallback(lambda _: None)


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
    _stop_cleanly_on_hangup(cast(Any, reactor))


def _stop_cleanly_on_hangup(reactor: Any) -> None:
    """Let SIGHUP stop the server as SIGTERM does, unless something else handles or ignores it."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))
