"""Topics with history in several processes: their messages live in logs of the relay.

The order of a log is the order of its topic in every process, and the offset of an entry is that
of its message. A process keeps a copy of the logs that its clients need, in the broker's histories.
"""

import time
from collections.abc import Callable
from typing import Any

from pubsub.cluster.journals import entries
from pubsub.cluster.journals.collection import Copies
from pubsub.cluster.journals.copies import LogLost
from pubsub.cluster.journals.load import Load
from pubsub.cluster.journals.statistics import JournalStatistics
from pubsub.cluster.names import log_of
from pubsub.core.once import Repetition
from pubsub.core.publication import Publication
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater, on_running_loop
from pubsub.relay.base import Relay
from pubsub.turns import Turns


class Journals(Copies):
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
        super().__init__(
            broker,
            relay,
            turns=turns,
            tell_gap=tell_gap,
            on_lost=on_lost,
            clock=clock,
            wall_clock=wall_clock,
            call_later=call_later,
        )
        self._subscribers = subscribers
        self._wall_clock = wall_clock
        self.load = Load()
        """What the clients of this process have on its way."""
        self._appended = 0
        self._repetitions = 0

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
        log, topic = self._log(name), self._broker.topic(name)
        epoch = topic.epoch
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
        elif topic.epoch != epoch:
            raise LogLost("another log has begun meanwhile", unknown_fate=True)
        else:
            self._appended += 1
            self._broker.count_accepted(name, by_client=publisher_id is not None)
        publication.offset = appended.offset
        publication.subscribers = self._subscribers(name, publisher_id)
        return publication

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
