"""The topics of the room: they live in the relay's registry, and every process has a copy.

The registry decides: of many simultaneous creations one succeeds. A change takes effect here when
it comes back from the registry, so all processes make the same changes in the same order.
"""

from asyncio import Lock
from collections import deque
from collections.abc import Awaitable, Callable

from pubsub.cluster.topics.catalogue import SLICE, Catalogue
from pubsub.cluster.topics.changes import PATIENCE, LogFunction, TopicChanges
from pubsub.cluster.topics.concurrency import for_each
from pubsub.cluster.topics.configured import ConfiguredTopics
from pubsub.cluster.topics.records import Record
from pubsub.cluster.topics.revisions import Revisions
from pubsub.core.names import validate_name
from pubsub.core.options import NOT_GIVEN, GivenOptions
from pubsub.core.shared import SharedBroker
from pubsub.core.topic import new_epoch
from pubsub.relay.base import Relay, Snapshot
from pubsub.relay.errors import Unavailable
from pubsub.turns import Turns

MAX_PENDING = 100_000
"""Changes that are kept while a snapshot is read. If there are more, another one is read."""

ATTEMPTS = 5
"""Snapshots that are read until one and the changes after it have no gap in between."""

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
        broker: The broker of this process; its configuration has the topics that exist from the
            start.
        relay: Has the registry.
        begin_log: Begins a log, before its topic is in the registry.
        forget_log: Forgets a log that no topic has any more. Its errors are ignored.
        has_log: Returns whether the log of a topic with an epoch exists.
        request_synchronization: Called when a change was missed: `synchronize` must follow.
        on_removed: See `Catalogue`.
        on_begun_again: See `Catalogue`.
        patience: Seconds until `Unavailable` is raised.
    """

    def __init__(
        self,
        broker: SharedBroker,
        relay: Relay,
        *,
        begin_log: LogFunction,
        forget_log: LogFunction,
        has_log: Callable[[str, str], Awaitable[bool]],
        request_synchronization: Callable[[], None],
        on_removed: Callable[[str], None] = ignore,
        on_begun_again: Callable[[str], None] = ignore,
        patience: float = PATIENCE,
    ) -> None:
        self._broker = broker
        self._relay = relay
        self._has_log = has_log
        self._request_synchronization = request_synchronization
        self._catalogue = Catalogue(broker, on_removed=on_removed, on_begun_again=on_begun_again)
        self._revisions = Revisions()
        self._changes = TopicChanges(
            self._catalogue,
            self._revisions,
            relay,
            begin_log=begin_log,
            forget_log=forget_log,
            request_synchronization=request_synchronization,
            patience=patience,
        )
        self._configured = ConfiguredTopics(broker, self._catalogue, self.create)
        self._registry_store: str | None = None
        self._log_store: str | None = None
        self._pending: deque[_Change] | None = None
        """Changes that arrive while a snapshot is read; ``None`` if none is."""
        self._is_settled = False
        """Whether everything is done that has to follow a snapshot."""
        self._synchronizing = Lock()
        self._turns = Turns()

    # --- Operations ---

    @property
    def is_synchronized(self) -> bool:
        """Whether the broker's topics are those of the room, as far as is known."""
        return self._revisions.is_live and self._is_settled

    def epoch_of(self, name: str) -> str | None:
        """Return the epoch of a topic; ``None`` if it does not exist."""
        known = self._catalogue.find(name)
        return None if known is None else known.record.epoch

    # --- TopicChanges by this process ---

    async def create(self, name: str, given: GivenOptions = NOT_GIVEN) -> None:
        """Create a topic with the options that are given; see `Broker.create_topic`.

        Raises:
            InvalidTopicName: The name breaks the rule for topic names.
            TopicExists: The topic exists already, and this process knows it.
            LimitExceeded: There are ``max_topics`` topics already.
            Unavailable: The registry did not answer.
        """
        options = self._broker.options_for(validate_name(name), given)
        await self._changes.create(Record(name, options, new_epoch()))

    async def delete(self, name: str) -> None:
        """Delete a topic; its subscribers in all processes are notified.

        Raises:
            TopicNotFound: The topic does not exist.
            Unavailable: The registry did not answer.
        """
        await self._changes.delete(name)

    async def renew(self, name: str, lost_epoch: str | None = None) -> None:
        """Give a topic with history a new epoch, because its log was lost.

        Args:
            name: The topic; if it does not exist any more, nothing happens.
            lost_epoch: The epoch of the log; if the topic has another one, nothing happens.

        Raises:
            Unavailable: The registry did not answer.
        """
        await self._changes.renew(name, lost_epoch)

    async def stop(self) -> None:
        """End all background work."""
        await self._changes.stop()

    # --- TopicChanges by all processes ---

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Apply a change of the registry, or note it while a snapshot is read."""
        if self._pending is not None:
            if len(self._pending) >= MAX_PENDING:
                self._pending.clear()
            self._pending.append((key, value, revision))
        elif self._revisions.is_live:
            if revision > self._revisions.current + 1:
                self._lose_track()
                self._request_synchronization()
            elif revision == self._revisions.current + 1:
                self._apply((key, value, revision))

    def _apply(self, change: _Change) -> None:
        self._catalogue.change(*change)
        self._revisions.advance(change[2])

    def on_disconnected(self) -> None:
        """Trust nothing that arrives until the next `synchronize`."""
        self._lose_track()

    def _lose_track(self) -> None:
        self._pending = None
        self._revisions.suspend()
        self._is_settled = False

    # --- After each connection, and regularly ---

    async def check(self) -> None:
        """Request a synchronization if the registry or the logs were lost without a reconnection.

        Raises:
            Unavailable: The relay did not answer.
        """
        if self.is_synchronized and not await self._relay.is_intact(self._catalogue.entry_count):
            self._request_synchronization()

    async def synchronize(self) -> None:
        """Give the broker the topics of the room, and restore topics that the registry has lost.

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
                self._is_settled = self._revisions.is_live
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
                await self._configured.create()
                return
        raise Unavailable("the registry changes faster than it can be read")

    async def _restore(self, snapshot: Snapshot) -> None:
        """Fill a registry that lost its contents with the topics that are known here."""
        await for_each(self._changes.restore, self._catalogue.missing_in(snapshot.entries))

    async def _adopt(
        self, snapshot: Snapshot, pending: deque[_Change], *, registry_lost: bool
    ) -> bool:
        """Apply a snapshot and later changes to the copy; return whether no change is missing."""
        logs = self._logs_lost_with(snapshot) if not registry_lost else []
        for _ in self._catalogue.adopt(snapshot.entries, registry_lost=registry_lost):
            await self._turns.wait()
        self._revisions.current = snapshot.revision
        while pending:
            for _ in range(min(SLICE, len(pending))):
                change = pending.popleft()
                if change[2] > self._revisions.current + 1:
                    return False
                if change[2] == self._revisions.current + 1:
                    self._apply(change)
            await self._turns.wait()
        if self._pending is not pending:
            raise Unavailable("the connection was lost")
        self._pending = None
        self._registry_store = snapshot.registry_store
        self._revisions.resume(registry_lost=registry_lost)
        await for_each(self._renew_lost, logs)
        self._log_store = snapshot.log_store
        return True

    def _logs_lost_with(self, snapshot: Snapshot) -> list[Record]:
        """Return the topics whose logs have gone with their store."""
        if self._log_store in (None, snapshot.log_store):
            return []
        records = (known.record for known in self._catalogue.topics())
        return [record for record in records if record.keeps_history]

    async def _renew_lost(self, record: Record) -> None:
        # Another process may have noticed the loss first, so that the log is a new one already.
        if not await self._has_log(record.name, record.epoch):
            await self.renew(record.name, record.epoch)

    def __repr__(self) -> str:
        state = "synchronized" if self.is_synchronized else "not synchronized"
        return f"<Topics at revision {self._revisions.current}, {state}>"
