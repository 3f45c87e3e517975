"""Work that is put off to the end of a tick."""

import asyncio

from pubsub.fairness import TICK_SLICE
from pubsub.transport.tick import EndOfTick


async def test_runs_once_everything_begun_in_the_tick_is_done() -> None:
    """Callbacks run in the order of the calls, before the next round of the event loop."""
    end_of_tick, order = EndOfTick(), []
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: end_of_tick.call(lambda: order.append("end")))
    loop.call_soon(lambda: order.append("begun"))
    await asyncio.sleep(0)
    assert order == ["begun"]
    await asyncio.sleep(0)
    assert order == ["begun", "end"]


async def test_long_work_is_done_in_slices() -> None:
    """The event loop gets its turn between two slices."""
    end_of_tick, done = EndOfTick(), []
    for number in range(2 * TICK_SLICE + 1):
        end_of_tick.call(lambda number=number: done.append(number))
    counts = []
    for _ in range(3):
        await asyncio.sleep(0)
        counts.append(len(done))
    assert counts == [TICK_SLICE, 2 * TICK_SLICE, 2 * TICK_SLICE + 1]
    assert done == list(range(2 * TICK_SLICE + 1))


async def test_work_that_makes_more_work() -> None:
    """The new work is done in the next tick."""
    end_of_tick, done = EndOfTick(), []
    end_of_tick.call(lambda: end_of_tick.call(lambda: done.append(1)))
    await asyncio.sleep(0)
    assert done == []
    await asyncio.sleep(0)
    assert done == [1]


async def test_new_work_does_not_wait_for_what_is_left_of_older_work() -> None:
    """Half of each slice belongs to new work; older work goes on, in its order."""
    end_of_tick, done = EndOfTick(), []
    for number in range(2 * TICK_SLICE):
        end_of_tick.call(lambda number=number: done.append(number))
    await asyncio.sleep(0)
    for number in range(TICK_SLICE):
        end_of_tick.call(lambda number=number: done.append(-1 - number))
    await asyncio.sleep(0)
    half = TICK_SLICE // 2
    new = [-1 - number for number in range(TICK_SLICE)]
    assert done[TICK_SLICE:] == [*new[:half], *range(TICK_SLICE, TICK_SLICE + half)]
    for _ in range(2):
        await asyncio.sleep(0)
    assert done[2 * TICK_SLICE :] == [*range(TICK_SLICE + half, 2 * TICK_SLICE), *new[half:]]


async def test_work_after_long_work() -> None:
    """When nothing is left, the next call starts another run."""
    end_of_tick, done = EndOfTick(), []
    for _ in range(TICK_SLICE + 1):
        end_of_tick.call(lambda: None)
    for _ in range(2):
        await asyncio.sleep(0)
    end_of_tick.call(lambda: done.append(1))
    await asyncio.sleep(0)
    assert done == [1]
