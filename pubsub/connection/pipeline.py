"""The publications of one client that are on their way to a log, several at a time."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from pubsub import fairness
from pubsub.cluster.journals.load import Load
from pubsub.core.publication import Publication
from pubsub.protocol.messages import Publish


class _Pending:
    """One publication, from its beginning until it is answered."""

    __slots__ = ("command", "outcome", "size", "task")

    def __init__(self, command: Publish, size: int) -> None:
        self.command = command
        self.size = size
        self.outcome: Publication | Exception | None = None
        self.task: asyncio.Task[None] | None = None


class Pipeline:
    """Begins publications one after the other, and answers them in the same order.

    A publication that takes long or fails holds up the answers that follow it, not the
    publications. It goes on when its client has left, because others may have received it.

    Args:
        load: What all clients have on their way.
        acknowledge: Called for a publication that was accepted, when it is the next to be answered.
        refuse: Called for one that was refused.
    """

    __slots__ = ("_acknowledge", "_bytes", "_load", "_most", "_pending", "_refuse", "_waiter")

    def __init__(
        self,
        load: Load,
        *,
        acknowledge: Callable[[Publish, Publication], None],
        refuse: Callable[[Publish, Exception], None],
    ) -> None:
        self._load = load
        self._acknowledge = acknowledge
        self._refuse = refuse
        self._pending: deque[_Pending] = deque()
        self._bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._most = 0

    @property
    def is_busy(self) -> bool:
        """Whether any publication was not answered yet."""
        return bool(self._pending)

    @property
    def is_full(self) -> bool:
        """Whether the next one has to wait for room. With none on its way, it never has to."""
        return bool(self._pending) and (
            len(self._pending) >= fairness.PIPELINED
            or self._bytes >= fairness.PIPELINED_BYTES
            or self._load.count >= fairness.PIPELINED_IN_ALL
        )

    def begin(
        self, command: Publish, publishing: Coroutine[Any, Any, Publication], size: int
    ) -> None:
        """Begin a publication; its first step follows those of the publications before it.

        Args:
            command: What it answers.
            publishing: Publishes, and raises what a command raises.
            size: Bytes that it keeps in memory.
        """
        pending = _Pending(command, size)
        self._pending.append(pending)
        self._bytes += size
        self._load.count += 1
        pending.task = asyncio.ensure_future(self._publish(pending, publishing))

    async def _publish(
        self, pending: _Pending, publishing: Coroutine[Any, Any, Publication]
    ) -> None:
        try:
            pending.outcome = await publishing
        except Exception as error:
            pending.outcome = error
        self._load.count -= 1
        self._answer()

    def _answer(self) -> None:
        """Answer the oldest publications, as far as their outcomes are known."""
        queue = self._pending
        while queue and (outcome := queue[0].outcome) is not None:
            pending = queue.popleft()
            self._bytes -= pending.size
            if isinstance(outcome, Publication):
                self._acknowledge(pending.command, outcome)
            else:
                self._refuse(pending.command, outcome)
        waiter = self._waiter
        if waiter is not None and len(queue) <= self._most and not waiter.done():
            waiter.set_result(None)

    async def wait_until_idle(self) -> None:
        """Wait until all publications are answered. Only one caller may wait at a time."""
        await self._wait(0)

    async def wait_for_room(self) -> None:
        """Wait until half of the publications are answered. Only one caller may wait at a time."""
        await self._wait(len(self._pending) // 2)

    async def _wait(self, most: int) -> None:
        if len(self._pending) > most:
            self._most = most
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def __repr__(self) -> str:
        return f"<Pipeline, {len(self._pending)} publications>"
