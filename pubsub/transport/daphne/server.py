"""Daphne as a process: whether it is the server, what it is made to tell, and how it stops."""

import asyncio
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


def refer_to_protocols() -> None:
    """Have every WebSocket's scope refer to Daphne's protocol. Safe to call twice.

    So a transport finds it, whatever middlewares put in the place of ``send``; Channels' own
    SessionMiddleware is one of them.
    """
    from daphne.server import Server

    create_application = getattr(Server, "create_application", None)
    # Without it every connection is warned of: it is a name that the transport relies on.
    if create_application is None or hasattr(create_application, "__wrapped__"):
        return

    @functools.wraps(create_application)
    def with_protocol_in_scope(server: Any, protocol: Any, scope: dict[str, Any]) -> Any:
        if scope["type"] == "websocket":
            scope[SCOPE_KEY] = weakref.ref(protocol)
        return create_application(server, protocol, scope)

    Server.create_application = with_protocol_in_scope


def stop_on_hangup() -> None:
    """Let SIGHUP stop Daphne as SIGTERM does, from its start on. Safe to call twice.

    Nothing changes if something else handles the signal, or ignores it, as ``nohup`` does.
    """
    from twisted.internet import reactor

    # Another server may run the application although Daphne is imported; it never gets here.
    cast(Any, reactor).callWhenRunning(_stop_on_hangup, reactor)


def _stop_on_hangup(reactor: Any) -> None:
    if (
        # Python sets handlers in the main thread alone; `runserver` may serve in another one.
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))


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
