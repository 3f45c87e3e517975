"""What other processes have sent, until the event loop has time to deliver it."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable

from pubsub.cluster.channels.batches import Item
from pubsub.core.shared import SharedBroker
from pubsub.core.topic import Topic
from pubsub.fairness import BUDGET, RELAYED_EVENT

MAX_WAITING_BYTES = 8 * 1024 * 1024
"""Bytes of publications that may wait, of all processes together."""

MAX_WAITING_WORK = 5_000_000
"""Work of the publications that may wait, in the unit of `pubsub.fairness`: about a second."""

_logger = logging.getLogger(__name__)


class Arrivals:
    """Delivers publications of other processes in their order, in slices of bounded work.

    A publication is delivered at once, unless all other processes together have spent the budget
    of a client in this turn of the event loop: then it waits for the next turns, in which clients
    are served too. Events that fill one process are so no burden to the clients of another.

    What waits is bounded, because nothing can slow the other processes down: while `is_full`, the
    caller must not add anything, and lets it be lost.

    Args:
        broker: Delivers.
        budget: Work in one turn of the event loop.
        max_bytes: Bytes that may wait, besides the last batch that was added.
        max_work: Work that may wait, likewise.
    """

    def __init__(
        self,
        broker: SharedBroker,
        *,
        budget: int = BUDGET,
        max_bytes: int = MAX_WAITING_BYTES,
        max_work: int = MAX_WAITING_WORK,
    ) -> None:
        self._broker = broker
        self._budget = budget
        self._max_bytes = max_bytes
        self.max_work = max_work
        """Work that may wait."""
        self._spent = 0
        self._has_turn = False
        self._waiting: deque[tuple[Item, Topic | None, int] | Callable[[], None]] = deque()
        self._bytes = 0
        self._work = 0

    @property
    def is_full(self) -> bool:
        """Whether no more may be added for now."""
        return self._bytes > self._max_bytes or self._work > self.max_work

    def work_of(self, items: Iterable[Item]) -> int:
        """Return the work of delivering items to the present subscribers."""
        return sum(_work(self._broker.find(item.topic)) for item in items)

    def add(self, items: Iterable[Item]) -> None:
        """Deliver items, now or in the next turns."""
        self._take_turn()
        for item in items:
            if self._waiting or self._spent >= self._budget:
                self._wait(item)
            else:
                self._deliver(item)

    def after(self, callback: Callable[[], None]) -> None:
        """Call a function when everything is delivered that has been added before."""
        if self._waiting:
            self._waiting.append(callback)
        else:
            callback()

    def _wait(self, item: Item) -> None:
        topic = self._broker.find(item.topic)
        work = _work(topic)
        self._waiting.append((item, topic, work))
        self._bytes += len(item.event)
        self._work += work

    def _deliver(self, item: Item) -> None:
        """Deliver an item. If that fails, the others go on."""
        self._spent += RELAYED_EVENT
        try:
            self._spent += self._broker.deliver(
                item.topic, item.event, publisher_id=item.publisher_id, user=item.user
            )
        except Exception:
            _logger.exception("Failed to deliver an event of another process")

    def _take_turn(self) -> None:
        """Go on in the next turn of the event loop. Two turns in one would double the budget."""
        if not self._has_turn:
            self._has_turn = True
            asyncio.get_running_loop().call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._has_turn = False
        self._spent = 0
        waiting = self._waiting
        try:
            while waiting and self._spent < self._budget:
                entry = waiting.popleft()
                if isinstance(entry, tuple):
                    item, topic, work = entry
                    self._bytes -= len(item.event)
                    self._work -= work
                    # A topic that was deleted may exist again, with other subscribers.
                    if topic is None or topic is self._broker.find(item.topic):
                        self._deliver(item)
                else:
                    entry()
        finally:
            if self._spent or waiting:
                self._take_turn()

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self._bytes = self._work = 0

    def __repr__(self) -> str:
        return f"<Arrivals, {len(self._waiting)} waiting>"


def _work(topic: Topic | None) -> int:
    """Return the work of delivering an event of a topic to its present subscribers."""
    return RELAYED_EVENT + (len(topic.subscribers) if topic is not None else 0)
