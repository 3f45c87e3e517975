"""Turns of the event loop for long work that is done in slices."""

import asyncio
from collections import deque


class Turns:
    """Lets one slice of long work run in each turn of the event loop, however many tasks have some.

    The tasks are served in order, so each of ten readers of a large listing gets every tenth turn,
    and a WebSocket's message waits for one slice, not for ten.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._scheduled = False

    async def wait(self) -> None:
        """Wait until the next slice may run: not before the next turn of the event loop."""
        await self.take()

    def take(self) -> asyncio.Future[None]:
        """Return what is done when the next slice may run, for work without a task."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append(turn)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._grant)
        return turn

    def _grant(self) -> None:
        waiting = self._waiting
        self._scheduled = False
        while waiting:
            turn = waiting.popleft()
            if not turn.done():  # it is if its task was cancelled
                turn.set_result(None)
                break
        if waiting:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._grant)
