"""Background work that no caller waits for."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from pubsub.relay.errors import Unavailable

logger = logging.getLogger(__name__)


class Tasks:
    """Runs tasks, and keeps them alive until they end.

    An error in a task is logged, unless others are out of reach: what could not be done without the
    network is done again after the next connection.
    """

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine on the running event loop."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Unavailable):
            logger.error("A background task of the cluster has failed", exc_info=error)

    def cancel(self) -> None:
        """Cancel all tasks."""
        for task in self._running:
            task.cancel()

    async def stop(self) -> None:
        """Cancel all tasks, and wait until they have ended."""
        self.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<Tasks, {len(self._running)} running>"
