"""Changes of the room's topics by this process, and how long it waits for them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from pubsub.cluster.names import key_of
from pubsub.cluster.topics.catalogue import Catalogue
from pubsub.cluster.topics.records import Known, Record, encode
from pubsub.cluster.topics.revisions import Revisions
from pubsub.core.errors import LimitExceeded, TopicExists, TopicNotFound
from pubsub.relay.base import Relay
from pubsub.relay.errors import Conflict, RelayError, Unavailable

PATIENCE = 4.5
"""Seconds after which the fate of a change counts as unknown."""

LogFunction = Callable[[str, str], Awaitable[object]]
"""Does something with the log of the topic with this name and this epoch."""


class TopicChanges:
    """Changes the registry. Its changes take effect in the same way as those of others.

    Args:
        catalogue: The copy of the registry.
        revisions: How far it has come.
        relay: Has the registry.
        begin_log: Begins a log.
        forget_log: Forgets a log.
        request_synchronization: Called when a change does not come back.
        patience: Seconds until `Unavailable` is raised.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        revisions: Revisions,
        relay: Relay,
        *,
        begin_log: LogFunction,
        forget_log: LogFunction,
        request_synchronization: Callable[[], None],
        patience: float,
    ) -> None:
        self._catalogue = catalogue
        self._revisions = revisions
        self._relay = relay
        self._begin_log = begin_log
        self._forget_log = forget_log
        self._request_synchronization = request_synchronization
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()

    async def create(self, record: Record) -> None:
        """Create a topic; see `Topics.create`."""
        deadline = self._deadline()
        async with self._until(deadline):
            await self._live()
            self._check_new(record.name)
            await self._begin(record)
        try:
            async with self._until(deadline, unknown_fate=True):
                await self._create(record)
        except (TopicExists, LimitExceeded):
            self._forget(record)
            raise

    def _check_new(self, name: str) -> None:
        if self._catalogue.find(name) is not None:
            raise TopicExists(name)
        if self._catalogue.is_full:
            self._raise_limit()

    async def _create(self, record: Record) -> None:
        key, value = key_of(record.name), encode(record)
        while True:
            invalid = self._catalogue.find_invalid(record.name)
            try:
                if invalid is None:
                    revision = await self._relay.create(key, value)
                else:  # it is no topic, and must not stand in the way of one
                    revision = await self._relay.replace(key, value, invalid)
            except Conflict:
                # The other one is known here in a moment, unless it is gone again already.
                self._check_new(record.name)
                await self._revisions.moved()
                self._check_new(record.name)
            else:
                break
        await self._revisions.reached(revision)
        beyond = self._catalogue.find_beyond(record.name)
        if beyond is not None and beyond.revision == revision:
            await self._withdraw(key, revision)
            self._raise_limit()
        if beyond is None and self._catalogue.find(record.name) is None:
            # It was deleted at once, or the registry was lost without an interruption.
            self._request_synchronization()

    async def _withdraw(self, key: str, revision: int) -> None:
        try:
            await self._revisions.reached(await self._relay.delete(key, revision))
        except Conflict:
            pass
        except Unavailable as error:
            raise Unavailable(str(error), unknown_fate=True) from error

    def _raise_limit(self) -> None:
        raise LimitExceeded("topics", self._catalogue.limit)

    async def delete(self, name: str) -> None:
        """Delete a topic; see `Topics.delete`."""
        deadline = self._deadline()
        async with self._until(deadline):
            await self._live()
        async with self._until(deadline, unknown_fate=True):
            while True:
                known = self._catalogue.find(name)
                if known is None:
                    raise TopicNotFound(name)
                try:
                    revision = await self._relay.delete(key_of(name), known.revision)
                except Conflict:
                    if self._catalogue.find(name) == known:
                        await self._revisions.moved()
                else:
                    break
            await self._revisions.reached(revision)
        self._forget(known.record)

    async def renew(self, name: str, lost_epoch: str | None) -> None:
        """Give a topic with history a new epoch; see `Topics.renew`."""
        deadline = self._deadline()
        async with self._until(deadline):
            await self._live()
            known = self._catalogue.find(name)
            if known is None or lost_epoch not in (None, known.record.epoch):
                return
            record = known.record.begun_again(known.born)
            await self._begin(record)
        async with self._until(deadline, unknown_fate=True):
            try:
                revision = await self._relay.replace(key_of(name), encode(record), known.revision)
            except Conflict:  # another process was faster
                self._forget(record)
                if self._catalogue.find(name) == known:
                    await self._revisions.moved()
            else:
                await self._revisions.reached(revision)
                self._forget(known.record)

    async def restore(self, known: Known) -> None:
        """Create a topic that was known here in a registry that has lost its contents.

        A topic that another process has restored, or that was deleted since, stays as it is.
        """
        record = known.record
        if record.keeps_history:
            record = record.begun_again(0)
            await self._begin(record)
        else:
            record = Record(record.name, record.options, record.epoch, record.previous)
        try:
            # Not `create`: the topic may have been restored by another process and deleted since.
            await self._relay.replace(key_of(record.name), encode(record), 0)
        except Conflict:  # another process was faster
            self._forget(record)

    # --- Logs ---

    async def _begin(self, record: Record) -> None:
        """Begin the log of a topic that is not in the registry yet, so nothing is changed by it."""
        if record.keeps_history:
            try:
                await self._begin_log(record.name, record.epoch)
            except Unavailable as error:
                raise Unavailable(str(error)) from error

    def _forget(self, record: Record) -> None:
        """Forget a log in the background."""
        if record.keeps_history:
            task = asyncio.create_task(self._try_to_forget(record))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _try_to_forget(self, record: Record) -> None:
        with suppress(RelayError):
            await self._forget_log(record.name, record.epoch)

    async def stop(self) -> None:
        """End all background work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- Waiting ---

    def _deadline(self) -> float:
        return asyncio.get_running_loop().time() + self._patience

    @asynccontextmanager
    async def _until(self, deadline: float, *, unknown_fate: bool = False) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                yield
        except TimeoutError:
            message = "the registry did not answer in time"
            raise Unavailable(message, unknown_fate=unknown_fate) from None

    async def _live(self) -> None:
        if not self._relay.is_connected:
            raise Unavailable("the relay is not connected")
        await self._revisions.wait_until_live()
