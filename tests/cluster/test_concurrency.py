"""Many things that wait for the network at once."""

import asyncio

import pytest

from pubsub.cluster.topics.concurrency import CONCURRENCY, for_each
from pubsub.relay.errors import Unavailable


async def test_everything_is_done() -> None:
    """Each item is worked on once, and no more than `CONCURRENCY` at a time."""
    at_once: list[int] = []
    running: set[int] = set()

    async def work(item: int) -> None:
        running.add(item)
        at_once.append(len(running))
        await asyncio.sleep(0)
        running.remove(item)

    await for_each(work, range(300))
    assert len(at_once) == 300
    assert max(at_once) == CONCURRENCY


async def test_a_failure_ends_it() -> None:
    """The first exception is raised as it is, and no further item is begun."""
    begun: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        await asyncio.sleep(0)
        raise Unavailable("no answer")

    with pytest.raises(Unavailable):
        await for_each(work, range(300))
    assert len(begun) == CONCURRENCY
