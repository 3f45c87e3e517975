"""Background tasks that no caller waits for."""

import asyncio

import pytest

from pubsub.cluster.tasks import Tasks
from pubsub.relay.errors import Unavailable
from tests.cluster.support import turns


async def fail(error: Exception) -> None:
    """Fail."""
    raise error


async def test_errors_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An error is logged with its traceback, unless it is that others are out of reach."""
    tasks = Tasks()
    tasks.start(fail(Unavailable("no network")))
    tasks.start(fail(ZeroDivisionError()))
    await turns()
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert repr(tasks) == "<Tasks, 0 running>"


async def test_all_tasks_end() -> None:
    """Stopping cancels all tasks, and waits until they have ended."""
    tasks = Tasks()
    running = [tasks.start(asyncio.Event().wait()) for _ in range(2)]  # type: ignore[arg-type]
    await turns()
    assert repr(tasks) == "<Tasks, 2 running>"
    await tasks.stop()
    assert all(task.cancelled() for task in running)
