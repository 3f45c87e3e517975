"""Ending tasks that do not want to end."""

import asyncio
from collections.abc import Iterable
from typing import Any

PATIENCE = 0.1
"""Seconds until a task that goes on is cancelled again."""

ATTEMPTS = 20
"""How often a task is cancelled, before it is left alone."""


async def end(tasks: "Iterable[asyncio.Task[Any]]") -> None:
    """Cancel tasks, and wait until they have ended.

    Before Python 3.12, `asyncio.wait_for` loses a cancellation that comes together with its result
    (python/cpython#86296), and nats-py uses it everywhere. So a task that goes on is cancelled
    again, for two seconds at most.
    """
    pending = set(tasks)
    for _ in range(ATTEMPTS):
        if not pending:
            return
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=PATIENCE)
        for task in done:
            if not task.cancelled():
                task.exception()  # it is of no interest any more
