"""Copies that have to be filled again, a few at a time.

When the relay has lost its contents, all topics with history have new logs at once. If thousands of
copies read theirs at the same time, the answers would hold the event loop for too long.
"""

import asyncio
from collections import deque

from pubsub.cluster.journals.copies import Copy
from pubsub.relay.base import Relay

FILLED_AT_ONCE = 16
"""Copies that are filled at the same time, besides those that a client waits for."""


class Refills:
    """Fills copies in the order in which they are added.

    Args:
        relay: The way to the logs. While it is not connected nothing is filled: after a
            reconnection all copies are checked.
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._copies: deque[Copy] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, copy: Copy) -> None:
        """Fill a copy soon."""
        self._copies.append(copy)
        if len(self._tasks) < FILLED_AT_ONCE:
            task = asyncio.ensure_future(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        copies = self._copies
        while copies and self._relay.is_connected:
            copy = copies.popleft()
            if copy.must_be_filled:
                try:
                    await asyncio.shield(copy.fill())
                except Exception:  # noqa: S112  # the tasks that wait for the copy get the error
                    continue
        copies.clear()

    def close(self) -> None:
        """Fill nothing any more."""
        self._copies.clear()
        for task in self._tasks:
            task.cancel()

    def __repr__(self) -> str:
        return f"<Refills, {len(self._copies)} waiting>"
