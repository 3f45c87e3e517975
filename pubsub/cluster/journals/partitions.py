"""The partitions of the logs that a process follows: those that a copy here needs."""

import asyncio

from pubsub.relay.base import OnEntry, Relay


class Partitions:
    """Follows a partition as long as a copy needs it.

    Args:
        relay: The way to the logs.
        on_entry: Gets every entry of every partition that is followed.
    """

    def __init__(self, relay: Relay, on_entry: OnEntry) -> None:
        self._relay = relay
        self._on_entry = on_entry
        self._users: dict[str, int] = {}
        self._following: dict[str, asyncio.Task[None]] = {}

    def acquire(self, partition: str) -> None:
        """Count one more need of a partition; `follow` follows it."""
        self._users[partition] = self._users.get(partition, 0) + 1

    async def follow(self, partition: str) -> None:
        """Return when every new entry of an acquired partition will arrive.

        Raises:
            Unavailable: From the relay. It may be called again.
        """
        task = self._following.get(partition)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.ensure_future(self._relay.follow(partition, self._on_entry))
            task.add_done_callback(_retrieve)
            self._following[partition] = task
        await asyncio.shield(task)

    def release(self, partition: str) -> None:
        """Count one need less of a partition; it is not followed any more when there is none."""
        self._users[partition] -= 1
        if self._users[partition]:
            return
        del self._users[partition]
        task = self._following.pop(partition, None)
        if task is not None:
            task.cancel()
            self._relay.unfollow(partition)

    def __len__(self) -> int:
        return len(self._users)

    def __repr__(self) -> str:
        return f"<Partitions, {len(self)} followed>"


def _retrieve(task: asyncio.Task[None]) -> None:
    """Retrieve the exception, so that asyncio does not log it: the tasks that wait get it, too."""
    if not task.cancelled():
        task.exception()
