"""The revision of a process' copy of the registry, and tasks that wait for a later one."""

import asyncio
from asyncio import Future
from contextlib import suppress

from pubsub.relay.errors import Unavailable

RETRY_AFTER = 0.25
"""Seconds until a change is tried again that conflicts with one which has not arrived here yet."""


class Revisions:
    """The revision of the copy, and those that wait for a later one."""

    def __init__(self) -> None:
        self.current = 0
        self._is_live = asyncio.Event()
        self._waiters: dict[int, list[Future[None]]] = {}

    @property
    def is_live(self) -> bool:
        """Whether each change is applied when it arrives."""
        return self._is_live.is_set()

    async def wait_until_live(self) -> None:
        """Wait until each change is applied when it arrives."""
        await self._is_live.wait()

    async def reached(self, revision: int) -> None:
        """Wait until the copy has reached a revision of the present registry.

        Raises:
            Unavailable: The registry was lost.
        """
        if revision > self.current or not self.is_live:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(revision, []).append(waiter)
            await waiter

    async def moved(self) -> None:
        """Wait for the next change, but not longer than `RETRY_AFTER`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_AFTER):
                await self.reached(self.current + 1)

    def advance(self, revision: int) -> None:
        """Note that the next change was applied."""
        self.current = revision
        self._wake(revision)

    def suspend(self) -> None:
        """Note that changes are not applied any more."""
        self._is_live.clear()

    def resume(self, *, registry_lost: bool) -> None:
        """Note that changes are applied again.

        Args:
            registry_lost: The registry is another one, whose revisions mean something else.
        """
        self._is_live.set()
        for revision in list(self._waiters):
            if registry_lost:
                for waiter in self._waiters.pop(revision):
                    if not waiter.done():
                        error = Unavailable("the registry was lost", unknown_fate=True)
                        waiter.set_exception(error)
            elif revision <= self.current:
                self._wake(revision)

    def _wake(self, revision: int) -> None:
        for waiter in self._waiters.pop(revision, ()):
            if not waiter.done():
                waiter.set_result(None)

    def __repr__(self) -> str:
        return f"<Revisions, {self.current}, {len(self._waiters)} waited for>"
