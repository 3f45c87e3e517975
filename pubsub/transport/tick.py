"""Work that is put off to the end of an event-loop tick."""

import asyncio
from collections.abc import Callable

from pubsub.fairness import TICK_SLICE


class EndOfTick:
    """Runs callbacks once everything that the event loop has begun in this tick is done.

    What a tick puts into an outbox leaves in one write that way, and a publication to many
    subscribers costs the loop one callback of its own, not one for each of them.

    Long work is done in slices, and half of each slice belongs to what is new: the reply to one
    client does not wait until a publication has reached ten thousand others.
    """

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []
        self._backlog: list[Callable[[], None]] = []

    def call(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` at the end of this tick. It must not raise."""
        due = self._due
        if not (due or self._backlog):
            asyncio.get_running_loop().call_soon(self._run)
        due.append(callback)

    def _run(self) -> None:
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
