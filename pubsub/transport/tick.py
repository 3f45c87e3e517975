"""Work that is deferred to the end of an event-loop tick."""

import asyncio
from collections.abc import Callable, Sequence

from pubsub.fairness import TICK_SLICE


class EndOfTick:
    """Runs callbacks after everything else that the event loop runs in this tick.

    So all frames that a tick puts into an outbox leave in one write (coalescing), and a publication
    costs the event loop one callback, not one for each subscriber.

    If there are many callbacks, they run in slices of `TICK_SLICE`, and half of each slice belongs
    to new ones: a reply to one client does not wait until a publication to ten thousand others is
    written.

    If a callback raises, the event loop reports it, and the others run in the next tick.
    """

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []
        self._backlog: list[Callable[[], None]] = []
        self._first: list[Callable[[], None]] = []

    def call(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` at the end of this tick. It must not raise."""
        due = self._due
        if not (due or self._backlog):
            asyncio.get_running_loop().call_soon(self._run)
        due.append(callback)

    def call_first(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` like `call`, but before all that were given to `call`."""
        if not (self._first or self._due or self._backlog):
            asyncio.get_running_loop().call_soon(self._run)
        self._first.append(callback)

    def _run(self) -> None:
        if self._first:
            first, self._first = self._first, []
            self._call(first)
        due, self._due = self._due, []
        if self._backlog or len(due) > TICK_SLICE:
            due = self._slice(due)
        self._call(due)

    def _call(self, callbacks: Sequence[Callable[[], None]]) -> None:
        rest = iter(callbacks)
        try:
            for callback in rest:
                callback()
        except BaseException:
            # Nobody else schedules a run while there is something to be done.
            self._first[:0] = rest
            asyncio.get_running_loop().call_soon(self._run)
            raise

    def _slice(self, due: list[Callable[[], None]]) -> list[Callable[[], None]]:
        backlog = self._backlog
        share = TICK_SLICE // 2 if backlog else TICK_SLICE
        backlog += due[share:]
        room = TICK_SLICE - len(due[:share])
        chosen = due[:share] + backlog[:room]
        del backlog[:room]
        if backlog:
            asyncio.get_running_loop().call_soon(self._run)
        return chosen
