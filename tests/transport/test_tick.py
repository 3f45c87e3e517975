"""Work that is put off to the end of a tick."""

import asyncio

from pubsub.transport.tick import SLICE, EndOfTick


async def test_runs_once_everything_begun_in_the_tick_is_done() -> None:
    """In the order of the calls, and before the next round of callbacks."""
    end_of_tick, order = EndOfTick(), []
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: end_of_tick.call(lambda: order.append("end")))
    loop.call_soon(lambda: order.append("begun"))
    await asyncio.sleep(0)
    assert order == ["begun"]
    await asyncio.sleep(0)
    assert order == ["begun", "end"]


async def test_long_work_is_done_in_slices() -> None:
    """The event loop gets its turn between two of them."""
    end_of_tick, done = EndOfTick(), []
    for number in range(2 * SLICE + 1):
        end_of_tick.call(lambda number=number: done.append(number))
    counts = []
    for _ in range(3):
        await asyncio.sleep(0)
        counts.append(len(done))
    assert counts == [SLICE, 2 * SLICE, 2 * SLICE + 1]
    assert done == list(range(2 * SLICE + 1))


async def test_work_that_makes_more_work() -> None:
    """It is done in the next tick."""
    end_of_tick, done = EndOfTick(), []
    end_of_tick.call(lambda: end_of_tick.call(lambda: done.append(1)))
    await asyncio.sleep(0)
    assert done == []
    await asyncio.sleep(0)
    assert done == [1]
