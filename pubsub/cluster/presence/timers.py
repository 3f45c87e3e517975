"""Delayed calls, of which each function has at most one at a time."""

from collections.abc import Callable

from pubsub.core.timer import CallLater, Timer


class Timers:
    """Calls functions after some seconds, until it is stopped."""

    def __init__(self, call_later: CallLater) -> None:
        self._call_later = call_later
        self._timers: dict[Callable[[], None], Timer] = {}

    def later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call a function after some seconds, unless a call of it is due already."""

        def call() -> None:
            del self._timers[callback]
            callback()

        if callback not in self._timers:
            self._timers[callback] = self._call_later(delay, call)

    def stop(self) -> None:
        """Cancel all calls that are due."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
