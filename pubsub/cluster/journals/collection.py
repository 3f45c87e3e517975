"""All copies of logs that a process has: opened when they are needed, dropped when they are not."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from pubsub.cluster.journals.copies import Copy, LogLost, Surroundings
from pubsub.cluster.journals.deliveries import Deliveries
from pubsub.cluster.journals.pace import Pace
from pubsub.cluster.journals.partitions import Partitions
from pubsub.cluster.journals.refills import Refills
from pubsub.cluster.journals.statistics import Counts
from pubsub.cluster.names import log_of
from pubsub.core.errors import NoHistory, TopicNotFound
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater
from pubsub.relay.base import TIMEOUT, Entry, Relay
from pubsub.relay.errors import Unavailable
from pubsub.turns import Turns

UNUSED_SECONDS = 60.0
"""Seconds without subscribers and readers after which a copy is dropped."""

CHECKED_AT_ONCE = 16
"""Logs that are compared with their copies at the same time after a reconnection."""

DROPPED_AT_ONCE = 10_000
"""Events of unused copies that are released at a time: about 5 ms."""


class Copies:
    """The copies of the logs of a process; see `Journals` for what they promise.

    Args:
        broker: The broker of this process.
        relay: Has the logs.
        turns: For long work, which is done in slices.
        tell_gap: See `Journals`.
        on_lost: See `Journals`.
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
        tell_gap: Callable[[str, int], None],
        on_lost: Callable[[str], None],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        call_later: CallLater,
    ) -> None:
        self._broker = broker
        self._relay = relay
        self._on_lost = on_lost
        self._call_later = call_later
        self._clock = clock
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
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        """Those who wait for a new log of a topic."""

    def is_open(self, name: str) -> bool:
        """Return whether the topic's history here has everything, and gets what is new."""
        copy = self._copies.get(name)
        return copy is not None and copy.is_loaded

    async def open(self, name: str) -> None:
        """Copy the log of a topic, unless that is done already.

        If the log was lost, or has given all of its entries up for those of others, it is that of
        the next epoch, which ``on_lost`` has to see to.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or was deleted meanwhile.
            NoHistory: The topic keeps none.
            Unavailable: From the relay; or no epoch has begun within its `TIMEOUT`.
        """
        while not self.is_open(name):
            log = self._log(name)
            try:
                await asyncio.shield(self._copy(name).fill())
            except LogLost as error:
                if self._log(name) == log:
                    await self._next_log(name, error)
        self._copies[name].used = self._clock()

    async def _next_log(self, name: str, error: LogLost) -> None:
        """Wait for a new epoch of a topic, or its end; raise the error if there is none in time."""
        changed = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(name, [])
        waiting.append(changed)
        timer = self._call_later(TIMEOUT, partial(_fail, changed, error))
        try:
            await changed
        finally:
            timer.cancel()
            waiting.remove(changed)
            if not waiting and self._waiting.get(name) is waiting:
                del self._waiting[name]

    def _wake(self, name: str) -> None:
        """Let those go on who wait for a change of a topic."""
        for changed in self._waiting.get(name, ()):
            if not changed.done():
                changed.set_result(None)

    async def catch_up(self, name: str) -> None:
        """Return when the history here has everything that was in the log at the call.

        Raises:
            TopicNotFound, InvalidTopicName, NoHistory, Unavailable: As for `open`.
        """
        if name not in self._copies:
            await self.open(name)
            return
        await self.open(name)
        with suppress(LogLost):
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
        self._wake(name)
        copy = self._copies.get(name)
        if copy is not None:
            self._drop(copy, TopicNotFound(name))

    def on_begun_again(self, name: str) -> None:
        """Note that a topic has a new epoch; call it just after `SharedBroker.begin_again`."""
        self._wake(name)
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
        """Keep a copy that could not be filled only if it has subscribers, and try again then.

        That a log was lost is told again as well, for its topic may not have got a new epoch.
        """
        if copy.has_subscribers:
            copy.retry_later()
        else:
            self._release(copy, error)
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

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}, {len(self._copies)} copies "
            f"in {len(self._partitions)} partitions>"
        )


def _fail(changed: asyncio.Future[None], error: LogLost) -> None:
    """End a wait with an error."""
    if not changed.done():
        changed.set_exception(error)
