"""Many operations that wait for the network, with a bounded number of them at once."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

CONCURRENCY = 64

Item = TypeVar("Item")


async def for_each(
    work: Callable[[Item], Coroutine[Any, Any, None]], items: Iterable[Item]
) -> None:
    """Do something with each item, `CONCURRENCY` of them at once.

    The first exception ends it, and is raised.
    """
    remaining = iter(items)

    async def work_on() -> None:
        for item in remaining:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work_on())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
