"""Work deferred to the end of a tick."""

import asyncio

import pytest

from pubsub.fairness import TICK_SLICE
from pubsub.transport.tick import EndOfTick


async def test_runs_at_the_end_of_the_tick() -> None:
    """Deferred work runs after the callbacks of the current tick and before the next tick."""
    end_of_tick, order = EndOfTick(), []
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: end_of_tick.call(lambda: order.append("end")))
    loop.call_soon(lambda: order.append("begun"))
    await asyncio.sleep(0)
    assert order == ["begun"]
    await asyncio.sleep(0)
    assert order == ["begun", "end"]


async def test_long_work_is_done_in_slices() -> None:
    """Long work is split into slices, and the event loop runs between them."""
    end_of_tick, done = EndOfTick(), []
    for number in range(2 * TICK_SLICE + 1):
        end_of_tick.call(lambda number=number: done.append(number))
    counts = []
    for _ in range(3):
        await asyncio.sleep(0)
        counts.append(len(done))
    assert counts == [TICK_SLICE, 2 * TICK_SLICE, 2 * TICK_SLICE + 1]
    assert done == list(range(2 * TICK_SLICE + 1))


async def test_what_comes_first() -> None:
    """Some work goes before all other work of the same tick, even before what is left of others."""
    end_of_tick, done = EndOfTick(), []
    end_of_tick.call_first(lambda: done.append("first"))
    end_of_tick.call_first(lambda: done.append("second"))
    await asyncio.sleep(0)
    assert done == ["first", "second"]
    for number in range(TICK_SLICE + 1):
        end_of_tick.call(lambda number=number: done.append(number))
    end_of_tick.call_first(lambda: done.append("third"))
    await asyncio.sleep(0)
    end_of_tick.call_first(lambda: done.append("fourth"))
    await asyncio.sleep(0)
    assert done[2:4] == ["third", 0]
    assert done[-2:] == ["fourth", TICK_SLICE]


async def test_nested_work() -> None:
    """Work deferred by deferred work runs in the next tick."""
    end_of_tick, done = EndOfTick(), []
    end_of_tick.call(lambda: end_of_tick.call(lambda: done.append(1)))
    await asyncio.sleep(0)
    assert done == []
    await asyncio.sleep(0)
    assert done == [1]


async def test_new_work_does_not_wait_for_older_work() -> None:
    """Half of each slice is reserved for new work while older work continues in order."""
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
    """New work runs as usual once the older work is finished."""
    end_of_tick, done = EndOfTick(), []
    for _ in range(TICK_SLICE + 1):
        end_of_tick.call(lambda: None)
    for _ in range(2):
        await asyncio.sleep(0)
    end_of_tick.call(lambda: done.append(1))
    await asyncio.sleep(0)
    assert done == [1]


@pytest.mark.parametrize("count", [3, TICK_SLICE + 3])
async def test_work_that_raises(count: int) -> None:
    """Work that raises is reported, and all other work is done once, also what comes later."""
    end_of_tick, done, failures = EndOfTick(), [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))

    def fail() -> None:
        raise ZeroDivisionError("a bug")

    for call in (end_of_tick.call_first, end_of_tick.call):
        for number in range(count):
            call(lambda number=number: done.append(number))
            if number == 1:
                call(fail)
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted(done) == sorted([*range(count)] * 2)
    assert len(failures) == 2
    end_of_tick.call(lambda: done.append("later"))
    await asyncio.sleep(0)
    assert done[-1] == "later"


async def test_last_work_that_raises() -> None:
    """If the last of the first work raises, the other work of this tick follows."""
    end_of_tick, done, failures = EndOfTick(), [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    end_of_tick.call(lambda: done.append(1))
    end_of_tick.call_first(lambda: {}["missing"])
    for _ in range(2):
        await asyncio.sleep(0)
    assert (done, len(failures)) == ([1], 1)
