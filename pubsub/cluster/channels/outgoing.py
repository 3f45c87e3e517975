"""Publications of this process, on their way to the others."""

from collections import defaultdict
from collections.abc import Callable

from pubsub.cluster.channels.batches import (
    MAX_BATCH_BYTES,
    Batch,
    Item,
    encode_batch,
    item_of,
    split,
)
from pubsub.cluster.channels.sent import SentLog
from pubsub.cluster.names import channel_of, partition_of
from pubsub.core.publication import Publication
from pubsub.relay.base import Relay


class Outgoing:
    """Sends publications, and remembers those that may not reach others.

    All publications of one event-loop tick and one partition leave as one message, in the order in
    which they were accepted. Each has the next sequence number of its partition, whether it can be
    sent or not, so that other processes notice what they did not get.

    Args:
        process_id: The id of this process.
        relay: The way to the others.
        at_end_of_tick: Calls a function at the end of the tick.
        log: Remembers the topic of each publication.
    """

    def __init__(
        self,
        process_id: str,
        relay: Relay,
        *,
        at_end_of_tick: Callable[[Callable[[], None]], None],
        log: SentLog | None = None,
    ) -> None:
        self.sent = 0
        """Publications that were given to the relay."""
        self.unsent = 0
        """Publications that the relay did not take."""
        self._process_id = process_id
        self._relay = relay
        self._at_end_of_tick = at_end_of_tick
        self._log = log or SentLog()
        self._pending: list[Publication] = []
        self._first_unsent: dict[int, int] = {}

    def publish(self, publication: Publication) -> None:
        """Send a publication at the end of the tick. This never waits, and never raises."""
        self._pending.append(publication)
        if len(self._pending) == 1:
            self._at_end_of_tick(self.flush)

    def flush(self) -> None:
        """Send everything that was published in this tick."""
        pending, self._pending = self._pending, []
        by_partition: defaultdict[int, list[Item]] = defaultdict(list)
        for publication in pending:
            by_partition[partition_of(publication.topic)].append(item_of(publication))
        for partition, items in by_partition.items():
            for run in split(items, min(MAX_BATCH_BYTES, self._relay.max_bytes)):
                self._send(partition, run)

    def _send(self, partition: int, items: list[Item]) -> None:
        first = self._log.position(partition) + 1
        for item in items:
            self._log.add(partition, item.topic)
        data = encode_batch(Batch(self._process_id, first, items))
        is_sent = len(data) <= self._relay.max_bytes and self._relay.publish(
            channel_of(partition), data
        )
        if is_sent:
            self.sent += len(items)
        else:
            self.unsent += len(items)
            self._first_unsent.setdefault(partition, first)

    def on_connected(self) -> None:
        """Send where the unsent publications begin, to processes that know of none before them.

        Others know their number anyway, from their own counts.
        """
        unsent, self._first_unsent = self._first_unsent, {}
        for partition, first in unsent.items():
            self._relay.publish(
                channel_of(partition), encode_batch(Batch(self._process_id, first, []))
            )

    def position(self, partition: int) -> int:
        """Return the sequence number of the last publication in a partition; 0 if none was."""
        self.flush()
        return self._log.position(partition)

    def positions(self) -> dict[int, int]:
        """Return all positions that are not 0, by partition."""
        self.flush()
        return self._log.positions()

    def count(self, partition: int, first: int, last: int) -> dict[str, int] | None:
        """Return how many publications from ``first`` to ``last`` each topic had, if known."""
        return self._log.count(partition, first, last)

    def __repr__(self) -> str:
        return f"<Outgoing {self.sent} sent, {self.unsent} unsent, {len(self._pending)} pending>"
