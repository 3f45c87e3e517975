"""Topics with history in several processes: their messages live in logs of the relay.

The order of a log is the order of its topic in every process, and the offset of an entry is that
of its message. A process keeps a copy of the logs that its clients need, in the broker's histories.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from pubsub.cluster.journals import entries
from pubsub.cluster.journals.copies import Copy, LogLost, Surroundings
from pubsub.cluster.journals.deliveries import Deliveries
from pubsub.cluster.journals.pace import Pace
from pubsub.cluster.journals.partitions import Partitions
from pubsub.cluster.journals.refills import Refills
from pubsub.cluster.journals.statistics import Counts, JournalStatistics
from pubsub.cluster.names import log_of
from pubsub.core.errors import NoHistory, TopicNotFound
from pubsub.core.once import Repetition
from pubsub.core.publication import Publication
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater, on_running_loop
from pubsub.relay.base import Entry, Relay
from pubsub.relay.errors import Unavailable
from pubsub.turns import Turns

UNUSED_SECONDS = 60.0
"""Seconds without subscribers and readers after which a copy is dropped."""

CHECKED_AT_ONCE = 16
"""Copies that are compared with their logs at the same time after a reconnection."""

DROPPED_AT_ONCE = 10_000
"""Events of unused copies that are released at a time: about 5 ms."""


class Journals:
    """Publishes to topics with history, and copies their logs into the broker.

    Before a client subscribes to such a topic, or its history is read, `open` must have returned
    in the same turn of the event loop. `publish` needs no copy.

    Guarantees:
        Every subscriber here gets all messages of the log after its acknowledgement, once and in
        the order of the log, except its own. If some are no longer in the log, `tell_gap` is
        called before the next one is delivered.

    Args:
        broker: The broker of this process.
        relay: Has the logs, and is started elsewhere. Its `read` and `last_offset` must include
            everything that was appended before.
        turns: For long work, which is done in slices.
        subscribers: Returns how many clients of all processes get a message to a topic from a
            publisher with this client id, as far as is known.
        tell_gap: Notifies the subscribers of a topic here that at most so many messages were lost.
        on_lost: Called when a topic's log was found to be lost, perhaps repeatedly; the topic then
            needs a new epoch, which `on_begun_again` reports.
        clock: Returns the time in seconds by which copies are unused.
        wall_clock: Returns the seconds since the Unix epoch.
        call_later: Calls a function after some seconds.
    """

    def __init__(
        self,
        broker: SharedBroker,
        relay: Relay,
        *,
        turns: Turns,
        subscribers: Callable[[str, str | None], int],
        tell_gap: Callable[[str, int], None],
        on_lost: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        call_later: CallLater = on_running_loop,
    ) -> None:
        self._broker = broker
        self._relay = relay
        self._subscribers = subscribers
        self._on_lost = on_lost
        self._clock = clock
        self._wall_clock = wall_clock
        self._partitions = Partitions(relay, self._on_entry)
        self._counts = Counts()
        self._around = Surroundings(
            broker=broker,
            relay=relay,
            partitions=self._partitions,
            turns=turns,
            call_later=call_later,
            deliveries=Deliveries(broker, wall_clock, tell_gap, self._counts),
            on_failure=self._on_failure,
            counts=self._counts,
            pace=Pace(),
        )
        self._refills = Refills(relay)
        self._copies: dict[str, Copy] = {}
        self._by_log: dict[str, Copy] = {}
        self._appended = 0
        self._repetitions = 0

    # --- Publishing ---

    async def begin(self, name: str, epoch: str) -> None:
        """Begin the log of an epoch, before other processes can know of that epoch.

        Raises:
            Unavailable: From the relay. It may be called again.
        """
        await self._relay.append(log_of(name, epoch), entries.BIRTH, once="birth")

    async def publish(
        self,
        name: str,
        message_id: str,
        payload: Any,
        *,
        publisher_id: str | None = None,
        user: str | None = None,
        once: bool = False,
    ) -> Publication:
        """Append a message to the log of a topic; subscribers get it when it comes from there.

        Messages keep the order of the calls.

        Args:
            name: The topic.
            message_id: A UUID.
            payload: The encoded payload.
            publisher_id: The id of the publishing client, which gets no copy; or ``None``.
            user: The authenticated user who publishes, or ``None``.
            once: Append nothing if a message with this id was appended with ``once`` before.

        Returns:
            The publication with its offset, or a `Repetition` with the offset of the first one.
            Its ``subscribers`` is their number now, and it has no ``frame``.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoHistory: The topic keeps none, and has no log.
            Unavailable: The message was not accepted; with ``unknown_fate``, perhaps it was.
        """
        log = self._log(name)
        copy = self._by_log.get(log)
        if copy is not None and copy.is_lost:
            raise LogLost("the log was lost")
        known = 0 if copy is None else copy.known
        now = int(self._wall_clock() * 1000)
        publication = Publication(name, message_id, payload, publisher_id, now, None, user)
        appended = await self._relay.append(
            log, entries.encode(publication), once=message_id.lower() if once else None
        )
        if appended.duplicate:
            self._repetitions += 1
            self._broker.count_repetition()
            publication = Repetition(name, message_id, None, None, now, appended.offset)
        elif appended.offset <= known:  # the relay counts from the beginning again
            if copy is not None and copy.log == log and not copy.is_lost:
                copy.lose()
            raise LogLost("the log was lost", unknown_fate=True)
        else:
            self._appended += 1
            self._broker.count_accepted(name, by_client=publisher_id is not None)
        publication.offset = appended.offset
        publication.subscribers = self._subscribers(name, publisher_id)
        return publication

    # --- Copies ---

    def is_open(self, name: str) -> bool:
        """Return whether the topic's history here has everything, and gets what is new."""
        copy = self._copies.get(name)
        return copy is not None and copy.is_loaded

    async def open(self, name: str) -> None:
        """Copy the log of a topic, unless that is done already.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or was deleted meanwhile.
            NoHistory: The topic keeps none.
            Unavailable: From the relay; or the log was lost, see ``on_lost``.
        """
        while not self.is_open(name):
            await asyncio.shield(self._copy(name).fill())
        self._copies[name].used = self._clock()

    async def catch_up(self, name: str) -> None:
        """Return when the history here has everything that was in the log at the call.

        Raises:
            TopicNotFound, InvalidTopicName, NoHistory, Unavailable: As for `open`.
        """
        if name not in self._copies:
            await self.open(name)
            return
        await self.open(name)
        await self._copies[name].check()
        await self.open(name)

    async def synchronize(self) -> None:
        """After a reconnection: return when all copies have everything that is in their logs.

        Epochs and deletions that were missed must be known before.

        Raises:
            Unavailable: From the relay. Copies with subscribers keep trying by themselves.
        """
        copies = iter(list(self._copies.values()))
        failures: list[Unavailable] = []

        async def check_some() -> None:
            for copy in copies:
                try:
                    if self._copies.get(copy.name) is copy:
                        await copy.check()
                except (LogLost, TopicNotFound):
                    pass  # the tasks that wait for it have got the error
                except Unavailable as error:
                    failures.append(error)
                    return

        await asyncio.gather(*(check_some() for _ in range(CHECKED_AT_ONCE)))
        if failures:
            raise failures[0]

    def on_removed(self, name: str) -> None:
        """Note that a topic is being deleted; call it in the same turn as `SharedBroker.remove`."""
        copy = self._copies.get(name)
        if copy is not None:
            self._drop(copy, TopicNotFound(name))

    def on_begun_again(self, name: str) -> None:
        """Note that a topic has a new epoch; call it just after `SharedBroker.begin_again`."""
        copy = self._copies.get(name)
        if copy is not None:
            del self._by_log[copy.log]
            log = self._log(name)
            self._by_log[log] = copy
            copy.begin_again(log)
            self._refills.add(copy)

    def close_unused(self) -> None:
        """Drop copies that were not needed for `UNUSED_SECONDS`; call it every few seconds.

        One call takes a few milliseconds at most.
        """
        now, released = self._clock(), 0
        for copy in list(self._copies.values()):
            if copy.has_subscribers or copy.is_filling:
                copy.used = now
            elif now - copy.used >= UNUSED_SECONDS and released < DROPPED_AT_ONCE:
                released += self._release(copy, Unavailable("the copy is no longer needed"))

    def close(self) -> None:
        """Follow nothing any more, and cancel all work."""
        self._refills.close()
        for copy in list(self._copies.values()):
            self._drop(copy, Unavailable("the process is stopping"))

    def _log(self, name: str) -> str:
        topic = self._broker.topic(name)
        if topic.history is None:
            raise NoHistory(name)
        return log_of(name, topic.epoch)

    def _copy(self, name: str) -> Copy:
        copy = self._copies.get(name)
        if copy is None:
            log = self._log(name)
            copy = Copy(name, log, self._around, self._clock())
            self._partitions.acquire(copy.partition)
            self._copies[name] = self._by_log[log] = copy
        return copy

    def _on_entry(self, log: str, entry: Entry, previous: int) -> None:
        copy = self._by_log.get(log)
        if copy is not None:
            copy.receive(entry, previous)

    def _on_failure(self, copy: Copy, error: Unavailable) -> None:
        """Keep a copy that could not be filled only if it has subscribers."""
        if not copy.has_subscribers:
            self._release(copy, error)
        elif not copy.is_lost:
            copy.retry_later()
        if isinstance(error, LogLost):
            self._on_lost(copy.name)

    def _release(self, copy: Copy, error: Exception) -> int:
        """Drop a copy and its events in the broker, and return their number."""
        history = self._broker.topic(copy.name).history
        size = 0 if history is None else len(history)
        self._drop(copy, error)
        self._broker.forget_kept(copy.name, 0)
        return size

    def _drop(self, copy: Copy, error: Exception) -> None:
        copy.close(error)
        del self._copies[copy.name], self._by_log[copy.log]
        self._partitions.release(copy.partition)

    def statistics(self) -> JournalStatistics:
        """Return a snapshot of the counters."""
        counts, copies = self._counts, self._copies.values()
        return JournalStatistics(
            appended=self._appended,
            repetitions=self._repetitions,
            received=counts.received,
            healed=counts.healed,
            lost=counts.lost,
            unreadable=counts.unreadable,
            open=sum(copy.is_loaded for copy in copies),
            filling=sum(copy.is_filling for copy in copies),
        )

    def __repr__(self) -> str:
        return f"<Journals, {len(self._copies)} copies in {len(self._partitions)} partitions>"
