"""Ending tasks."""

import asyncio

from pubsub.relay.tasks import end


async def test_tasks_end() -> None:
    """Tasks end, those that fail meanwhile too, and nobody hears of it."""

    async def fail() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError

    tasks = [asyncio.ensure_future(asyncio.Event().wait()), asyncio.ensure_future(fail())]
    await asyncio.sleep(0)
    await end(tasks)
    assert all(task.done() for task in tasks)


async def test_a_cancellation_that_is_lost() -> None:
    """A task that loses a cancellation, as `asyncio.wait_for` may, is cancelled again."""
    lost = 0

    async def go_on() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = asyncio.ensure_future(go_on())
    await asyncio.sleep(0)
    await end([task])
    assert (task.cancelled(), lost) == (True, 3)


async def test_nothing_to_end() -> None:
    """Without tasks there is nothing to wait for."""
    await end([])
