"""The rows of the listings: topics, and clients with their subscriptions."""

from collections.abc import Callable, Iterator, Sequence
from heapq import merge
from typing import Any, Protocol

from pubsub import fairness
from pubsub.api.pages import Document, Page, collect, count, cut
from pubsub.cluster.figures.figures import Inquiry
from pubsub.core.broker import Broker
from pubsub.core.counters import TopicStatistics
from pubsub.core.state import Visible
from pubsub.turns import Turns

SORTED_AT_A_TIME = 1000
"""Names that are sorted in one turn of the event loop: about 0.3 ms."""

_WRITTEN_AT_A_TIME = fairness.LISTING_SLICE // fairness.LISTED_ROW

Topics = list[tuple[str, TopicStatistics]]


class Subscriber(Protocol):
    """A client with its topics, of this process or of another one."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def topics(self) -> list[str]:
        """In the order of subscription."""


async def write_topics(
    broker: Broker,
    turns: Turns,
    page: Page,
    write: Callable[[Topics], None],
    *,
    visible: Visible | None = None,
    inquiry: Inquiry | None = None,
) -> dict[str, Any]:
    """Pass the topics of a page to ``write``, sorted by name.

    Only topics for which ``visible`` is true are listed and counted. With an ``inquiry`` their
    counters are those of all processes.

    Returns:
        The fields that tell what is cut off, if anything is.
    """
    slices = broker.topic_slices(prefix=page.prefix, after=page.after_topic, visible=visible)
    if inquiry is None:
        last = await collect(turns, slices, page.limit, write)
    else:
        topics: Topics = []
        last = await collect(turns, slices, page.limit, topics.extend)
        topics = await inquiry.topics(topics)
        for start in range(0, len(topics), _WRITTEN_AT_A_TIME):
            write(topics[start : start + _WRITTEN_AT_A_TIME])
            await turns.wait()
    if last is None:
        return {}
    if visible is None:
        total = broker.count_topics(page.prefix)
    else:
        total = await count(turns, broker.topic_slices(prefix=page.prefix, visible=visible))
    return cut(last[0], total)


class SubscriptionWriter:
    """Writes a page of clients with their topics, and then the same by topic.

    After the last client, the topics without subscribers follow, as many at a time. So
    all pages together have every client and every topic.

    Args:
        document: The object that the two fields are written to.
        turns: The turns of the event loop.
        broker: The broker.
    """

    def __init__(self, document: Document, turns: Turns, broker: Broker) -> None:
        self._document = document
        self._turns = turns
        self._broker = broker
        # Not lists: the garbage collector scans lists, but not dictionaries of strings, and a full
        # collection in a large room takes too long.
        self._by_topic: dict[str, dict[str, None]] = {}

    async def write(self, page: Page) -> dict[str, Any]:
        """Write a page; return the fields that tell what is cut off, if anything is."""
        document = self._document
        document.open("subscriptions", b"[")
        key = await self._write_clients(page)
        document.close(b"]")
        document.open("topic_breakdown", b"{")
        for topics in _sorted_slices(self._by_topic):
            document.add(topics)
            await self._turns.wait()
        document.close(b"}")
        return {} if key is None else cut(key, await self._count(page.prefix))

    async def _write_clients(self, page: Page) -> str | int | None:
        """Write the clients; return the key of the last row if the page is not the last one."""
        turns, broker = self._turns, self._broker
        if not isinstance(page.after, str):
            clients = broker.client_slices(prefix=page.prefix, after=page.after_client)
            last = await collect(turns, clients, page.limit, self._add)
            if last is not None:
                return last.joined
        if page.prefix:
            return None
        unused = without_subscribers(broker.topic_slices(after=page.after_topic))
        return await collect(turns, unused, page.limit, self._add_unused)

    def _add(self, clients: Sequence[Subscriber]) -> None:
        self._document.add([{"client_id": each.id, "topics": each.topics} for each in clients])
        by_topic = self._by_topic
        for client in clients:
            for topic in client.topics:
                if topic in by_topic:
                    by_topic[topic][client.id] = None
                else:
                    by_topic[topic] = {client.id: None}

    def _add_unused(self, topics: list[str]) -> None:
        for topic in topics:
            self._by_topic.setdefault(topic, {})

    async def _count(self, prefix: str) -> int:
        if not prefix:
            return self._broker.client_count
        return await count(self._turns, self._broker.client_slices(prefix=prefix))


def without_subscribers(slices: Iterator[Topics]) -> Iterator[list[str]]:
    """Yield the names of those topics that have no subscribers."""
    for topics in slices:
        yield [name for name, statistics in topics if not statistics.subscribers]


def _sorted_slices(by_topic: dict[str, dict[str, None]]) -> Iterator[dict[str, list[str]]]:
    """Yield the topics with their clients, sorted by name, in slices of bounded work."""
    names = list(by_topic)
    runs = []
    for start in range(0, len(names), SORTED_AT_A_TIME):
        runs.append(sorted(names[start : start + SORTED_AT_A_TIME]))
        yield {}
    found: dict[str, list[str]] = {}
    work = 0
    for name in merge(*runs):
        found[name] = list(by_topic[name])
        work += fairness.LISTED_ROW + fairness.LISTED_SUBSCRIPTION * len(found[name])
        if work >= fairness.LISTING_SLICE:
            yield found
            found, work = {}, 0
    yield found
