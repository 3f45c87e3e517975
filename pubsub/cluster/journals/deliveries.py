"""The way of an entry from a log to the broker's history and to the subscribers of this process."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from pubsub import fairness
from pubsub.cluster.journals import entries
from pubsub.cluster.journals.statistics import Counts
from pubsub.core.shared import SharedBroker
from pubsub.relay.base import Entry


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Delivers entries, in the order of the calls."""

    broker: SharedBroker
    wall_clock: Callable[[], float]
    """Returns the seconds since the Unix epoch."""
    notify: Callable[[str, int], None]
    """Notifies the subscribers of a topic here that at most so many messages were lost."""
    counts: Counts

    def deliver(self, name: str, entry: Entry, *, is_new: bool) -> int:
        """Put an entry into a topic's history and the outboxes; return how much work it was.

        Args:
            name: The topic.
            entry: The next entry of its log.
            is_new: Whether it has just been appended.
        """
        broker = self.broker
        self.counts.received += 1
        if entry.data == entries.BIRTH:
            return 1
        try:
            message = entries.decode(entry.data)
        except msgspec.MsgspecError:
            self.counts.unreadable += 1
            broker.forget_kept(name, entry.offset)
            self.tell_gap(name, 1)
            return fairness.BATCH_ITEM
        # Clocks of machines differ, so that the age of a new entry counts as 0.
        age = 0.0 if is_new else max(0.0, self.wall_clock() - message.time / 1000)
        broker.deliver_kept(
            name,
            message.event_at(entry.offset),
            offset=entry.offset,
            publisher_id=message.publisher_id,
            user=message.user,
            age=age,
        )
        return fairness.BATCH_ITEM + len(broker.topic(name).subscribers)

    def tell_gap(self, name: str, at_most: int) -> None:
        """Report messages of a topic that are no longer in its log, if there are any."""
        if at_most > 0:
            self.counts.lost += at_most
            self.notify(name, at_most)
