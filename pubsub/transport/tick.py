"""Work that is put off to the end of an event-loop tick."""

import asyncio
from collections.abc import Callable

SLICE = 500
"""Callbacks that run at a stretch; sockets are looked at between two slices."""


class EndOfTick:
    """Runs callbacks once everything that the event loop has begun in this tick is done.

    What a tick puts into an outbox leaves in one write that way, and a publication to many
    subscribers costs the loop one callback of its own, not one for each of them.
    """

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []

    def call(self, callback: Callable[[], None]) -> None:
        """Run ``callback`` at the end of this tick. It must not raise."""
        due = self._due
        if not due:
            asyncio.get_running_loop().call_soon(self._run)
        due.append(callback)

    def _run(self) -> None:
        due, self._due = self._due[:SLICE], self._due[SLICE:]
        if self._due:
            asyncio.get_running_loop().call_soon(self._run)
        for callback in due:
            callback()
