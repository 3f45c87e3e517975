"""The runtime of a process that serves no clients: a worker, a shell, a cron job.

It takes part in the room, in a thread of its own, from the first call that needs it to the end of
the process. A forked child gets a runtime of its own at its first call.
"""

import asyncio
import atexit
import os
import threading

from pubsub import conf
from pubsub.runtime import Runtime, make_relay

STOP_TIMEOUT = 2.0
"""Seconds for what was published to leave when the process ends."""


class BackgroundRuntime:
    """A runtime without clients, on an event loop in a thread of its own."""

    def __init__(self) -> None:
        config = conf.get_configuration()
        relay = make_relay(conf.get_relay_configuration(), config, is_logged=False)
        self.runtime = Runtime(config, relay=relay, serves=False)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="pubsub", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.loop.call_soon(self._enter)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    def _enter(self) -> None:
        self.runtime.enter()

    def stop(self) -> None:
        """Leave the room, after what was published has left. Safe to call twice."""
        if not self._thread.is_alive():
            return
        leaving = asyncio.run_coroutine_threadsafe(_leave(self.runtime), self.loop)
        try:
            leaving.result(STOP_TIMEOUT)
        except TimeoutError:
            leaving.cancel()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(STOP_TIMEOUT)


async def _leave(runtime: Runtime) -> None:
    if runtime.cluster is not None:
        await runtime.cluster.stop()


_lock = threading.Lock()
_background: BackgroundRuntime | None = None


def get_runtime() -> tuple[Runtime, asyncio.AbstractEventLoop]:
    """Return the runtime of this process and its event loop; the first call creates them."""
    global _background
    with _lock:
        if _background is None:
            _background = BackgroundRuntime()
        return _background.runtime, _background.loop


def leave() -> None:
    """Stop the runtime of this process, if there is one; the next call creates another."""
    global _background
    with _lock:
        background, _background = _background, None
    if background is not None:
        background.stop()


def _forget_after_fork() -> None:
    """Ignore the parent's runtime: its thread does not exist here, and its socket is shared."""
    global _lock, _background
    _lock = threading.Lock()
    _background = None


atexit.register(leave)
os.register_at_fork(after_in_child=_forget_after_fork)
