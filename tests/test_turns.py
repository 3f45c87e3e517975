"""Turns of the event loop: one slice in each, in order, whatever is cancelled."""

import asyncio

from pubsub.turns import Turns


class Loop:
    """Counts the turns of the running event loop."""

    def __init__(self) -> None:
        self.turn = 0
        self._count()

    def _count(self) -> None:
        self.turn += 1
        self._handle = asyncio.get_running_loop().call_soon(self._count)

    def stop(self) -> None:
        """Count no more."""
        self._handle.cancel()


async def test_tasks_take_turns() -> None:
    """Tasks are served in order, and no two of them in one turn of the event loop."""
    turns, loop = Turns(), Loop()
    served: list[tuple[str, int]] = []

    async def work(name: str) -> None:
        for _ in range(3):
            await turns.wait()
            served.append((name, loop.turn))

    await asyncio.gather(work("a"), work("b"), work("c"))
    loop.stop()
    assert [name for name, _ in served] == list("abc") * 3
    assert len({turn for _, turn in served}) == len(served)


async def test_cancelled_task_takes_no_turn() -> None:
    """A task that is cancelled while it waits is skipped, even if it is the only one."""
    turns = Turns()
    first, second = (asyncio.create_task(turns.wait()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    only = asyncio.create_task(turns.wait())
    await asyncio.sleep(0)
    only.cancel()
    await asyncio.gather(only, return_exceptions=True)
    await turns.wait()
