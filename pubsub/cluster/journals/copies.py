"""A copy of one topic's log: it is read, follows the log, and heals where entries were lost.

It is loaded once, and then gets each new entry as it is appended. Where one is missing, later ones
are held, and what is missing is read; so subscribers get all entries in the order of the log.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pubsub import fairness
from pubsub.cluster.journals import entries
from pubsub.cluster.journals.deliveries import Deliveries
from pubsub.cluster.journals.pace import Pace
from pubsub.cluster.journals.partitions import Partitions
from pubsub.cluster.journals.statistics import Counts
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater, Timer
from pubsub.relay.base import Entry, Relay
from pubsub.relay.errors import Unavailable
from pubsub.turns import Turns

logger = logging.getLogger(__name__)

MAX_HELD = 1000
"""New entries that one copy holds while it reads. Entries beyond them are read later."""

MAX_READ = 10_000
"""Entries that are read at a time for subscribers, who are notified if they have missed more."""

FIRST_RETRY = 0.5
LAST_RETRY = 5.0
"""Seconds from a failure to the next attempt, which double with each failure."""


class LogLost(Unavailable):
    """Entries that the log must have are missing: the relay has lost its contents."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all copies of a process have in common."""

    broker: SharedBroker
    relay: Relay
    partitions: Partitions
    turns: Turns
    call_later: CallLater
    deliveries: Deliveries
    on_failure: Callable[["Copy", Unavailable], None]
    """Called when the copy could not be filled, after the tasks that wait for it got the error."""
    counts: Counts
    pace: Pace


class Copy:
    """The copy of one topic's log in the history of the broker's topic.

    Args:
        name: The topic, which exists in the broker and keeps history.
        log: The name of its log.
        around: What all copies have in common.
        used: The time in seconds at which it was last needed.
    """

    __slots__ = (
        *("_around", "_connection", "_failures", "_filled", "_held", "_task", "_timer"),
        *("is_closed", "is_loaded", "is_lost", "known", "log", "name", "seen", "used"),
    )

    def __init__(self, name: str, log: str, around: Surroundings, used: float) -> None:
        self.name = name
        self.log = log
        self.used = used
        self.known = 0
        """The offset up to which the copy is complete; 0 before it was loaded."""
        self.seen = 0
        """The highest offset that is known to exist."""
        self.is_loaded = False
        """Whether it contains all that was in the log when it was opened, and follows the log."""
        self.is_lost = False
        """Whether the log was found to be lost; then the copy waits for a new one."""
        self.is_closed = False
        """Whether it is not used any more."""
        self._around = around
        self._connection = 0
        """The relay's reconnections when the copy was complete."""
        self._held: deque[tuple[Entry, int]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._filled: asyncio.Future[None] | None = None
        self._timer: Timer | None = None
        self._failures = 0

    @property
    def partition(self) -> str:
        """The partition of the log, which the copy needs."""
        return self.log.partition(".")[0]

    @property
    def is_filling(self) -> bool:
        """Whether it is being loaded or healed."""
        return self._task is not None

    @property
    def must_be_filled(self) -> bool:
        """Whether it was not loaded yet, and is neither being loaded nor closed."""
        return not (self.is_loaded or self.is_filling or self.is_closed)

    @property
    def has_subscribers(self) -> bool:
        """Whether the topic has subscribers here."""
        return bool(self._around.broker.topic(self.name).subscribers)

    def receive(self, entry: Entry, previous: int) -> None:
        """Take a new entry of the log, with the offset of the one before it."""
        if entry.offset <= self.known or self.is_lost:
            return
        if previous == 0:
            previous = self._last_seen()
        self.seen = max(self.seen, entry.offset)
        pace = self._around.pace
        if self._task is None and previous == self.known and self.is_loaded and not pace.is_spent:
            pace.spend(self._deliver(entry, is_new=True))
            return
        if len(self._held) < MAX_HELD:
            self._held.append((entry, previous))
        if self._timer is None:
            self.fill()

    def _last_seen(self) -> int:
        """Return the offset before a new entry of a log that has nothing else any more.

        All logs share the relay's store, so the entries of a quiet topic make room for those of
        others. As long as the connection holds, no entry was missed before that happened.
        """
        return max(self.seen, self.known) if self._is_uninterrupted() else 0

    def _is_uninterrupted(self) -> bool:
        """Return whether the connection is the one on which the copy was complete."""
        state = self._around.relay.statistics()
        return self.is_loaded and state.connected and state.reconnections == self._connection

    def _note_connection(self) -> None:
        self._connection = self._around.relay.statistics().reconnections

    def fill(self) -> asyncio.Future[None]:
        """Read what is missing, and return what is done when nothing is.

        It fails with `Unavailable`, or with `LogLost`.
        """
        if self._filled is None or self._filled.done():
            self._filled = asyncio.get_running_loop().create_future()
            self._filled.add_done_callback(_retrieve)
        if self._task is None:
            self._cancel_timer()
            self._task = asyncio.ensure_future(self._run())
        return self._filled

    async def check(self) -> None:
        """Return when the copy has everything that the log has now.

        Raises:
            Unavailable: From the relay.
            LogLost: The log is not the one that was copied.
        """
        if not self.is_loaded:
            await asyncio.shield(self.fill())
            return
        log, known = self.log, self.known
        last = await self._around.relay.last_offset(log)
        if self.log != log or not self.is_loaded:
            return
        if last < known and not (last == 0 and self._is_uninterrupted()):
            self.lose()
            raise LogLost("the log was lost")
        if last > self.known:
            self.seen = max(self.seen, last)
            await asyncio.shield(self.fill())
        else:
            self._note_connection()

    def begin_again(self, log: str) -> None:
        """Copy another log from now on, from its beginning; it has to be filled.

        If anybody waits for that, it begins at once.
        """
        self._stop_filling()
        self.log = log
        self.known = self.seen = self._failures = 0
        self.is_loaded = self.is_lost = False
        if self._filled is not None and not self._filled.done():
            self.fill()

    def lose(self) -> None:
        """Wait for another log, because this one was lost."""
        self._stop_filling()
        self._fail(LogLost("the log was lost"))

    def close(self, error: Exception) -> None:
        """Receive nothing any more; the tasks that wait get ``error``."""
        self._stop_filling()
        self.is_loaded, self.is_closed = False, True
        if self._filled is not None and not self._filled.done():
            self._filled.set_exception(error)

    def _stop_filling(self) -> None:
        self._cancel_timer()
        self._held.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _run(self) -> None:
        try:
            await self._fill()
        except Unavailable as error:
            self._task = None
            self._fail(error)
        except Exception:
            logger.exception("the copy of topic %r failed", self.name)
            self._task = None
            self._fail(Unavailable("the copy failed"))
        else:
            self._task = None
            self._failures = 0
            if self._filled is not None and not self._filled.done():
                self._filled.set_result(None)

    def _fail(self, error: Unavailable) -> None:
        """Pass an error to the tasks that wait, and try again if there are subscribers."""
        self._held.clear()
        if isinstance(error, LogLost):
            self.is_loaded, self.is_lost = False, True
        if self._filled is not None and not self._filled.done():
            self._filled.set_exception(error)
        self._around.on_failure(self, error)

    def retry_later(self) -> None:
        """Try again to fill it, after a time that doubles with each failure."""
        delay = min(FIRST_RETRY * 2**self._failures, LAST_RETRY)
        self._failures = min(self._failures + 1, 10)
        self._cancel_timer()
        self._timer = self._around.call_later(delay, self._retry)

    def _retry(self) -> None:
        self._timer = None
        self.fill()

    async def _fill(self) -> None:
        must_read = not self.is_loaded
        if must_read:
            await self._around.partitions.follow(self.partition)
        else:
            await self._take_held()
        while must_read or self.known < self.seen:
            await self._read()
            await self._take_held()
            self._around.counts.healed += self.is_loaded
            must_read = False
        self.is_loaded, self.is_lost = True, False
        self._note_connection()

    async def _read(self) -> None:
        """Take what the log has after the known offset, and report what it no longer has."""
        around, known = self._around, self.known
        topic = around.broker.topic(self.name)
        limit = topic.options.history + 1
        if topic.subscribers:
            limit = max(limit, MAX_READ + 1)
        # The known entry is read again: as long as it is there, so is all that follows it.
        found = await around.relay.read(self.log, after=max(known - 1, 0), limit=limit)
        if not found:
            raise LogLost("the log was lost")
        if found[-1].offset <= known < self.seen:
            raise Unavailable("the log did not answer with its newest entries")
        first = found[0]
        if first.offset != known if known else first.data != entries.BIRTH:
            around.broker.forget_kept(self.name, first.offset - 1)
            if topic.subscribers:
                around.deliveries.tell_gap(self.name, first.offset - known - 1)
        work = 0
        for entry in found:
            if entry.offset > self.known:
                work += self._deliver(entry, is_new=False)
                if work >= fairness.BATCH_SLICE:
                    work = 0
                    await around.turns.wait()

    def _deliver(self, entry: Entry, *, is_new: bool) -> int:
        self.known = entry.offset
        return self._around.deliveries.deliver(self.name, entry, is_new=is_new)

    async def _take_held(self) -> None:
        """Take the entries that have arrived meanwhile, up to the next missing one."""
        held, work = self._held, 0
        while held:
            entry, previous = held[0]
            if entry.offset > self.known:
                if previous != self.known:
                    return
                work += self._deliver(entry, is_new=True)
            held.popleft()
            if work >= fairness.BATCH_SLICE:
                work = 0
                await self._around.turns.wait()

    def __repr__(self) -> str:
        state = "filling" if self.is_filling else "lost" if self.is_lost else "following"
        return f"<Copy of {self.log}, {state} after {self.known}>"


def _retrieve(filled: asyncio.Future[None]) -> None:
    """Retrieve the exception, so that asyncio does not log it: the tasks that wait get it, too."""
    if not filled.cancelled():
        filled.exception()
