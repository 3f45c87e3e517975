"""The topics of the room: they live in the relay's registry, and every process has a copy.

The registry decides: of many simultaneous creations one succeeds. A change takes effect here when
it comes back from the registry, so all processes make the same changes in the same order.
"""

import asyncio
from asyncio import Future, Lock
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from pubsub.cluster.catalogue import SLICE, Catalogue
from pubsub.cluster.names import key_of
from pubsub.cluster.records import Known, Record, encode
from pubsub.core.broker import Broker
from pubsub.core.errors import LimitExceeded, TopicExists, TopicNotFound
from pubsub.core.names import validate_name
from pubsub.core.options import NOT_GIVEN, GivenOptions
from pubsub.core.topic import new_epoch
from pubsub.logs import events as log
from pubsub.relay.base import Relay, Snapshot
from pubsub.relay.errors import Conflict, RelayError, Unavailable
from pubsub.turns import Turns

PATIENCE = 4.5
"""Seconds after which the fate of a change counts as unknown."""

RETRY_AFTER = 0.25
"""Seconds until a change is tried again that met another one which is not known here yet."""

CONCURRENCY = 64
"""Changes that wait for the network at once when many topics are created by this process."""

MAX_PENDING = 100_000
"""Changes that are kept while a snapshot is read. If there are more, another one is read."""

ATTEMPTS = 5
"""Snapshots that are read until one and the changes after it have no gap in between."""

NAMED = 10
"""Topics that one line of the log names."""

LogFunction = Callable[[str, str], Awaitable[object]]
"""Does something with the log of the topic with this name and this epoch."""

Item = TypeVar("Item")

_Change = tuple[str, bytes | None, int]


def ignore(name: str) -> None:
    """Do nothing about a topic."""


class Topics:
    """Creates and deletes the topics of the room, and keeps the broker's topics in step with it.

    Guarantees:
        A topic exists in this process when `create` returns, and does not when `delete` does. After
        `synchronize` the broker has exactly the topics of the room, whatever happened before; a
        topic that did not change keeps its subscribers. No more than ``max_topics`` exist.

    Errors:
        `Unavailable` says that nothing was changed, unless its ``unknown_fate`` is true. It is
        raised within `PATIENCE`.

    Args:
        broker: A shared one; its configuration says which topics exist from the start.
        relay: Has the registry.
        begin_log: Begins a log, before its topic is in the registry.
        forget_log: Forgets a log that no topic has any more. What it raises does no harm.
        request_synchronization: Called when a change was missed: `synchronize` must follow.
        on_removed: See `Catalogue`.
        on_begun_again: See `Catalogue`.
        patience: Seconds until `Unavailable` is raised.
    """

    def __init__(
        self,
        broker: Broker,
        relay: Relay,
        *,
        begin_log: LogFunction,
        forget_log: LogFunction,
        request_synchronization: Callable[[], None],
        on_removed: Callable[[str], None] = ignore,
        on_begun_again: Callable[[str], None] = ignore,
        patience: float = PATIENCE,
    ) -> None:
        self._broker = broker
        self._relay = relay
        self._begin_log = begin_log
        self._forget_log = forget_log
        self._request_synchronization = request_synchronization
        self._patience = patience
        self._catalogue = Catalogue(broker, on_removed=on_removed, on_begun_again=on_begun_again)
        self._revision = 0
        """Of the catalogue."""
        self._registry_store: str | None = None
        self._log_store: str | None = None
        self._pending: deque[_Change] | None = None
        """Changes that arrive while a snapshot is read; ``None`` if none is."""
        self._is_live = asyncio.Event()
        """Whether changes take effect at once."""
        self._is_settled = False
        """Whether everything is done that has to follow a snapshot."""
        self._has_created_configured = False
        self._waiters: dict[int, list[Future[None]]] = {}
        """Those that wait until the catalogue has reached a revision."""
        self._synchronizing = Lock()
        self._turns = Turns()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- What others ask ---

    @property
    def is_synchronized(self) -> bool:
        """Whether the broker's topics are those of the room, as far as is known."""
        return self._is_live.is_set() and self._is_settled

    def epoch_of(self, name: str) -> str | None:
        """Return the epoch of a topic; ``None`` if it does not exist."""
        known = self._catalogue.find(name)
        return None if known is None else known.record.epoch

    # --- Changes by this process ---

    async def create(self, name: str, given: GivenOptions = NOT_GIVEN) -> None:
        """Create a topic with the options that are given; see `Broker.create_topic`.

        Raises:
            InvalidTopicName: The name breaks the rule for topic names.
            TopicExists: The topic exists already, and this process knows it.
            LimitExceeded: There are ``max_topics`` topics already.
            Unavailable: The registry did not answer.
        """
        record = Record(validate_name(name), self._broker.options_for(name, given), new_epoch())
        deadline = self._deadline()
        async with self._until(deadline):
            await self._live()
            self._check_new(name)
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

    def _raise_limit(self) -> None:
        raise LimitExceeded("topics", self._broker.config.max_topics)

    async def _create(self, record: Record) -> None:
        key, value = key_of(record.name), encode(record)
        while True:
            try:
                revision = await self._relay.create(key, value)
            except Conflict:
                # The other one is known here in a moment, unless it is gone again already.
                self._check_new(record.name)
                await self._moved()
                self._check_new(record.name)
            else:
                break
        await self._reached(revision)
        beyond = self._catalogue.find_beyond(record.name)
        if beyond is not None and beyond.revision == revision:
            await self._withdraw(key, revision)
            self._raise_limit()
        if beyond is None and self._catalogue.find(record.name) is None:
            # It was deleted at once, or the registry was lost without an interruption.
            self._request_synchronization()

    async def _withdraw(self, key: str, revision: int) -> None:
        try:
            await self._reached(await self._relay.delete(key, revision))
        except Conflict:
            pass
        except Unavailable as error:
            raise Unavailable(str(error), unknown_fate=True) from error

    async def delete(self, name: str) -> None:
        """Delete a topic; its subscribers in all processes are notified.

        Raises:
            TopicNotFound: The topic does not exist.
            Unavailable: The registry did not answer.
        """
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
                        await self._moved()
                else:
                    break
            await self._reached(revision)
        self._forget(known.record)

    async def renew(self, name: str, lost_epoch: str | None = None) -> None:
        """Give a topic with history a new epoch, because its log was lost.

        Args:
            name: The topic; if it does not exist any more, nothing happens.
            lost_epoch: The epoch of the log; if the topic has another one, nothing happens.

        Raises:
            Unavailable: The registry did not answer.
        """
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
                    await self._moved()
            else:
                await self._reached(revision)
                self._forget(known.record)

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
        """End what goes on in the background."""
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
        await self._is_live.wait()

    async def _reached(self, revision: int) -> None:
        """Wait until the catalogue has reached a revision of the present registry."""
        if revision > self._revision or not self._is_live.is_set():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.setdefault(revision, []).append(waiter)
            await waiter

    async def _moved(self) -> None:
        """Wait for the next change, but not long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_AFTER):
                await self._reached(self._revision + 1)

    def _wake(self, revision: int) -> None:
        for waiter in self._waiters.pop(revision, ()):
            if not waiter.done():
                waiter.set_result(None)

    def _wake_all(self, *, registry_lost: bool) -> None:
        """Wake those that wait for a revision that was passed, or that will never come."""
        for revision in list(self._waiters):
            if registry_lost:
                for waiter in self._waiters.pop(revision):
                    if not waiter.done():
                        error = Unavailable("the registry was lost", unknown_fate=True)
                        waiter.set_exception(error)
            elif revision <= self._revision:
                self._wake(revision)

    # --- Changes by all processes ---

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Apply a change of the registry, or note it while a snapshot is read."""
        if self._pending is not None:
            if len(self._pending) >= MAX_PENDING:
                self._pending.clear()
            self._pending.append((key, value, revision))
        elif self._is_live.is_set():
            if revision > self._revision + 1:
                self._lose_track()
                self._request_synchronization()
            elif revision == self._revision + 1:
                self._apply((key, value, revision))

    def _apply(self, change: _Change) -> None:
        self._catalogue.change(*change)
        self._revision = change[2]
        self._wake(self._revision)

    def on_disconnected(self) -> None:
        """Trust nothing that arrives until the next `synchronize`."""
        self._lose_track()

    def _lose_track(self) -> None:
        self._pending = None
        self._is_live.clear()
        self._is_settled = False

    # --- After each connection ---

    async def synchronize(self) -> None:
        """Make the broker's topics those of the room, and the room's those that were lost.

        Call it after each connection, and when it was requested. At the first time it creates the
        topics of the configuration that are missing. It never holds the event loop for more than
        a few milliseconds.

        Raises:
            Unavailable: The registry did not answer; call it again.
        """
        async with self._synchronizing:
            self._lose_track()
            try:
                await self._synchronize()
                self._is_settled = self._is_live.is_set()
            finally:
                if not self._is_settled:
                    self._lose_track()

    async def _synchronize(self) -> None:
        restored = None
        for _ in range(ATTEMPTS):
            pending = self._pending = deque()
            snapshot = await self._relay.snapshot()
            store = snapshot.registry_store
            lost = self._registry_store not in (None, store)
            if lost and store != restored:
                await self._restore(snapshot)
                restored = store
            elif await self._adopt(snapshot, pending, registry_lost=lost):
                await self._complete()
                return
        raise Unavailable("the registry changes faster than it can be read")

    async def _restore(self, snapshot: Snapshot) -> None:
        """Fill a registry that lost its contents with the topics that are known here."""
        known = [
            known
            for known in self._catalogue.topics()
            if key_of(known.record.name) not in snapshot.entries
        ]
        await self._each(self._restore_topic, known)

    async def _restore_topic(self, known: Known) -> None:
        record = known.record
        if record.keeps_history:
            record = record.begun_again(0)
            await self._begin(record)
        else:
            record = Record(record.name, record.options, record.epoch, record.previous)
        try:
            await self._relay.create(key_of(record.name), encode(record))
        except Conflict:  # another process was faster
            self._forget(record)

    async def _adopt(
        self, snapshot: Snapshot, pending: deque[_Change], *, registry_lost: bool
    ) -> bool:
        """Make the copy what the snapshot and later changes say; return whether none is missing."""
        logs = self._logs_lost_with(snapshot) if not registry_lost else []
        for _ in self._catalogue.adopt(snapshot.entries, registry_lost=registry_lost):
            await self._turns.wait()
        self._revision = snapshot.revision
        while pending:
            for _ in range(min(SLICE, len(pending))):
                change = pending.popleft()
                if change[2] > self._revision + 1:
                    return False
                if change[2] == self._revision + 1:
                    self._apply(change)
            await self._turns.wait()
        if self._pending is not pending:
            raise Unavailable("the connection was lost")
        self._pending = None
        self._registry_store = snapshot.registry_store
        self._is_live.set()
        self._wake_all(registry_lost=registry_lost)
        await self._each(self._renew_lost, logs)
        self._log_store = snapshot.log_store
        return True

    def _logs_lost_with(self, snapshot: Snapshot) -> list[Record]:
        """Return the topics whose logs have gone with their store."""
        if self._log_store in (None, snapshot.log_store):
            return []
        records = (known.record for known in self._catalogue.topics())
        return [record for record in records if record.keeps_history]

    async def _renew_lost(self, record: Record) -> None:
        await self.renew(record.name, record.epoch)

    async def _complete(self) -> None:
        """Create the topics of the configuration, at the first time."""
        if self._has_created_configured:
            return
        broker = self._broker
        names = list(broker.config.topics.names)
        await self._each(self._create_configured, names)
        self._has_created_configured = True
        found = ((name, self._catalogue.find(name)) for name in names)
        different = [
            name
            for name, known in found
            if known is not None and known.record.options != broker.options_for(name)
        ]
        if different:
            log.topic_options_differ(", ".join(different[:NAMED]), count=len(different))

    async def _create_configured(self, name: str) -> None:
        try:
            await self.create(name)
        except TopicExists:
            pass
        except LimitExceeded:
            log.configured_topic_refused(name, reason="max_topics")

    async def _each(
        self, work: Callable[[Item], Coroutine[Any, Any, None]], items: Iterable[Item]
    ) -> None:
        """Do something with each item, `CONCURRENCY` of them at once."""
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

    def __repr__(self) -> str:
        state = "synchronized" if self.is_synchronized else "not synchronized"
        return f"<Topics at revision {self._revision}, {state}>"
