"""Listings of clients of all processes."""

from collections.abc import Iterator, Sequence

from pubsub import fairness
from pubsub.api.listings import SubscriptionWriter, without_subscribers
from pubsub.api.pages import MAX_LIMIT, Document, Page, collect
from pubsub.cluster.figures.figures import Inquiry
from pubsub.cluster.figures.rows import Subscriber
from pubsub.core.broker import Broker
from pubsub.core.counters import TopicStatistics
from pubsub.turns import Turns

_NOTHING = TopicStatistics(0, 0, 0, 0)


class RoomSubscriptionWriter(SubscriptionWriter):
    """Writes the clients of all processes with their topics, and then the same by topic.

    Args:
        document: The object that the two fields are written to.
        turns: The turns of the event loop.
        broker: The broker, which knows all topics.
        inquiry: Asks all processes.
    """

    def __init__(self, document: Document, turns: Turns, broker: Broker, inquiry: Inquiry) -> None:
        super().__init__(document, turns, broker)
        self._inquiry = inquiry
        self._total: int | None = None

    async def _write_clients(self, page: Page) -> str | int | None:
        if not isinstance(page.after, str):
            clients = await self._inquiry.clients(
                prefix=page.prefix, after=page.after_client, limit=page.limit, with_topics=True
            )
            self._total = clients.total
            for some in _slices(clients.rows):
                self._add(some)
                await self._turns.wait()
            if not clients.is_last:
                last: int = clients.rows[-1].joined
                return last
        return None if page.prefix else await self._write_unused(page.after_topic, page.limit)

    async def _write_unused(self, after: str, limit: int) -> str | None:
        """Write topics without subscribers anywhere; return the last one if more of them follow."""
        last: str | None = None
        while True:
            names: list[str] = []
            here = without_subscribers(self._broker.topic_slices(after=after))
            more = await collect(self._turns, here, MAX_LIMIT, names.extend)
            known = await self._inquiry.topics([(name, _NOTHING) for name in names])
            unused = [name for name, counted in known if not counted.subscribers]
            if len(unused) > limit:
                self._add_unused(unused[:limit])
                return unused[limit - 1] if limit else last
            self._add_unused(unused)
            limit -= len(unused)
            if more is None:
                return None
            after, last = more, unused[-1] if unused else last

    async def _count(self, prefix: str) -> int:
        if self._total is None:
            return (await self._inquiry.totals()).clients
        return self._total


def _slices(rows: Sequence[Subscriber]) -> Iterator[list[Subscriber]]:
    """Yield the rows in slices of bounded work."""
    found: list[Subscriber] = []
    work = 0
    for row in rows:
        found.append(row)
        work += fairness.LISTED_ROW + fairness.LISTED_SUBSCRIPTION * len(row.topics)
        if work >= fairness.LISTING_SLICE:
            yield found
            found, work = [], 0
    yield found
