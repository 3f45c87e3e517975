"""What SIGTERM, SIGINT and SIGHUP do to Daphne: the first begins a drain, the second ends it."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable
from types import FrameType
from typing import Any, Protocol, cast

from pubsub.transport.daphne import foreign

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Drain(Protocol):
    """How the application sends its clients away."""

    def spread(self) -> Awaitable[None]:
        """Begin at once, and do it over some time, while the server works on."""

    def stop_all(self) -> None:
        """Do it now."""


def handle_signals(drain: Drain) -> None:
    """Have the signals that stop Daphne begin a drain, from its start on. Safe to call twice.

    Daphne is stopped when the drain is done. A second signal, whichever it is, disconnects the
    remaining clients and ends the process at once with status 0, so that no supervisor takes a stop
    for a crash. A third one does what it does by default, should the event loop be blocked.

    SIGTERM and SIGINT are left alone where Twisted does not handle them, and SIGHUP where anything
    else does or where it is ignored, as ``nohup`` has it.
    """
    from twisted.internet import reactor

    if missing := foreign.missing(foreign.SIGNALS):
        foreign.warn_once(", ".join(missing), "a stop disconnects all clients at once")
    # Another server may run the application although Daphne is imported; it never gets here.
    cast(Any, reactor).callWhenRunning(_Signals(drain, reactor).install)


class _Signals:
    def __init__(self, drain: Drain, reactor: Any) -> None:
        self._drain = drain
        self._reactor = reactor
        self._handled: list[signal.Signals] = []
        self._received = False
        self._stopping: asyncio.Task[None] | None = None  # the loop keeps only weak references

    def install(self) -> None:
        # Python sets handlers in the main thread alone; `runserver` may serve in another one.
        if threading.current_thread() is threading.main_thread():
            self._handled = [number for number in SIGNALS if self._is_handled_here(number)]
            for number in self._handled:
                signal.signal(number, self._on_signal)

    def _is_handled_here(self, number: signal.Signals) -> bool:
        handler = signal.getsignal(number)
        if number is signal.SIGHUP:
            return handler is signal.SIG_DFL
        name = "sigTerm" if number is signal.SIGTERM else "sigInt"
        return handler == getattr(self._reactor, name, self)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._received:
            self._received = True
            self._reactor.callFromThread(self._begin)
            return
        for handled in self._handled:
            signal.signal(handled, signal.SIG_DFL)
        self._reactor.callFromThread(self._end)

    def _begin(self) -> None:
        self._stopping = asyncio.ensure_future(self._stop(self._drain.spread()))

    async def _stop(self, drained: Awaitable[None]) -> None:
        from twisted.internet.error import ReactorNotRunning

        try:
            await drained
        finally:
            with contextlib.suppress(ReactorNotRunning):  # something else has stopped it
                self._reactor.stop()

    def _end(self) -> None:
        self._drain.stop_all()
        logging.shutdown()
        sys.stdout.flush()
        # Not `sys.exit`, which waits for the threads of synchronous views.
        os._exit(0)
