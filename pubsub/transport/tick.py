"""Work that is deferred to the end of an event-loop tick."""

import asyncio
from collections.abc import Callable

from pubsub.fairness import TICK_SLICE


class EndOfTick:
    """Runs callbacks after everything else that the event loop runs in this tick.

    So all frames that a tick puts into an outbox leave in one write (coalescing), and a publication
    costs the event loop one callback, not one for each subscriber.

    If there are many callbacks, they run in slices of `TICK_SLICE`, and half of each slice belongs
    to new ones: a reply to one client does not wait until a publication to ten thousand others is
    written.
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
            for callback in first:
                callback()
        due, self._due = self._due, []
        if self._backlog or len(due) > TICK_SLICE:
            due = self._slice(due)
        for callback in due:
            callback()

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
