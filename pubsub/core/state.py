"""What a broker holds, and every way to look at it."""

import time
from collections.abc import Callable, Iterator
from operator import attrgetter
from threading import get_ident

from pubsub import fairness
from pubsub.core.client import Client
from pubsub.core.configuration import Configuration
from pubsub.core.counters import ClientStatistics, Statistics, TopicStatistics, TotalCounters
from pubsub.core.errors import NoPresence, ReentrantCall, TopicNotFound, WrongThread
from pubsub.core.history import HistoryBudget
from pubsub.core.listing import Listing
from pubsub.core.names import validate_name
from pubsub.core.notices import Notice
from pubsub.core.presence import Presence
from pubsub.core.publication import Position
from pubsub.core.topic import HistoryPage, Topic

Visible = Callable[[str], bool]
"""Returns whether the caller may see the topic of this name."""

_AFTER_ALL_NAMES = "\U0010ffff"
"""A noncharacter, which no name contains: a prefix and this are above all names with the prefix."""


class BrokerState:
    """The topics, clients and counters of one process, to look at; `Broker` changes them.

    Args:
        config: The bounds of topics, subscriptions and outboxes.
        clock: Returns the time in seconds by which kept messages expire.
    """

    def __init__(self, config: Configuration, clock: Callable[[], float]) -> None:
        self.config = config
        self._owner = get_ident()
        self._delivering = False
        """Whether outboxes are being filled, so that their callbacks may not call the broker."""
        self._started = time.monotonic()
        self._topics: dict[str, Topic] = {}
        self._clients: dict[str, Client] = {}
        self._topics_by_name = Listing[Topic](attrgetter("name"))
        self._clients_by_age = Listing[Client](attrgetter("joined"))
        self._last_joined = 0
        self._subscriptions = 0
        self._total = TotalCounters()
        self._histories = HistoryBudget(config.history_bytes, clock)
        self._other_publications = 0
        """Messages that no connected client has published."""
        self._recoveries = {True: 0, False: 0}
        self._repetitions = 0

    # --- Topics ---

    def topic(self, name: str) -> Topic:
        """Return a topic, to look at.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
        """
        self._check_caller()
        return self._existing(name)

    def find(self, name: str) -> Topic | None:
        """Return a topic, to look at; ``None`` if it does not exist."""
        return self._topics.get(name)

    def history(self, name: str, *, since: Position | None = None, limit: int) -> HistoryPage:
        """Return messages that a topic keeps: all publishers' messages, oldest first.

        Without ``since`` they are the newest ones, otherwise the oldest ones after that position.
        If it is of another epoch or in the future, they are the oldest ones of all, and the page is
        not complete.

        Args:
            name: The topic.
            since: The position of the last message that is not needed.
            limit: The largest number of messages; there are fewer if they exceed `MAX_PAGE_BYTES`.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoHistory: The topic keeps no messages.
        """
        self._check_caller()
        return self._existing(name).history_page(since, limit)

    def presence(self, name: str, *, here: bool = False) -> Notice:
        """Return who is subscribed to a topic.

        Args:
            name: The topic.
            here: Count only the connections to this process, if several share the topics.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoPresence: The topic has no presence.
        """
        self._check_caller()
        presence = presence_of(self._existing(name))
        return presence.local_view() if here else presence.view()

    # --- Totals ---

    @property
    def client_count(self) -> int:
        """The number of connected clients."""
        return len(self._clients)

    def statistics(self) -> Statistics:
        """Return the totals, at the same cost whatever the size of the room."""
        self._check_caller()
        total = self._total
        return Statistics(
            uptime=time.monotonic() - self._started,
            topics=len(self._topics),
            clients=len(self._clients),
            subscribers=self._subscriptions,
            messages=total.messages,
            client_publications=total.messages - self._other_publications,
            offered=total.offered,
            delivered=total.delivered,
            dropped=total.dropped,
            dropped_from_history=total.dropped_from_history,
            recovered=self._recoveries[True],
            not_recovered=self._recoveries[False],
            repetitions=self._repetitions,
            history_bytes=self._histories.used,
            history_evicted=self._histories.evicted,
        )

    def subscriber_counts(self) -> dict[str, int]:
        """Return the number of subscribers of each topic, sorted by topic name.

        This takes long in a large room; see `topic_slices`.
        """
        self._check_caller()
        return {name: len(self._topics[name].subscribers) for name in sorted(self._topics)}

    def subscriptions(self) -> dict[str, list[str]]:
        """Return each connected client's topics, in the order of subscription.

        This takes long in a large room; see `client_slices`.
        """
        self._check_caller()
        return {client.id: list(client.topics) for client in self._clients.values()}

    # --- Listings ---

    def topic_slices(
        self, *, prefix: str = "", after: str = "", visible: Visible | None = None
    ) -> Iterator[list[tuple[str, TopicStatistics]]]:
        """Yield topics with their counters, sorted by name, in slices of bounded work.

        Let the event loop run between two slices, and it is held for about a millisecond at a time,
        whatever the size of the room. Each topic's counters are those of the moment at which its
        slice is taken; a topic that exists from the first slice to the last appears exactly once.

        Args:
            prefix: Only names that begin with it.
            after: Only names that sort after this one, which need not exist.
            visible: Only names for which this is true. It is called once for each name.
        """
        topics = self._topics_by_name.slices(
            prefix,
            prefix + _AFTER_ALL_NAMES,
            after=after,
            wanted=lambda topic: visible is None or visible(topic.name),
            cost=lambda topic: fairness.LISTED_ROW,
        )
        self._check_caller()
        for found in topics:
            yield [(topic.name, topic.statistics()) for topic in found]
            self._check_caller()

    def count_topics(self, prefix: str = "") -> int:
        """Return the number of topics whose name begins with ``prefix``, at once."""
        self._check_caller()
        return self._topics_by_name.count(prefix, prefix + _AFTER_ALL_NAMES)

    def client_slices(
        self, *, prefix: str = "", after: int = 0
    ) -> Iterator[list[ClientStatistics]]:
        """Yield the connected clients in the order of connection, in slices of bounded work.

        The same holds as for `topic_slices`.

        Args:
            prefix: Only clients whose id begins with it.
            after: Only clients whose ``joined`` is higher.
        """
        clients = self._clients_by_age.slices(
            0,
            self._last_joined,
            after=after,
            wanted=lambda client: client.id.startswith(prefix),
            cost=lambda client: (
                fairness.LISTED_ROW + fairness.LISTED_SUBSCRIPTION * len(client.topics)
            ),
        )
        self._check_caller()
        for found in clients:
            yield [client.statistics() for client in found]
            self._check_caller()

    # --- Checks ---

    def _existing(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise TopicNotFound(validate_name(name))
        return topic

    def _check_caller(self) -> None:
        if get_ident() != self._owner:
            raise WrongThread("the broker belongs to another thread; use pubsub.publish()")
        if self._delivering:
            raise ReentrantCall("an outbox's callback may not call the broker; use call_soon()")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {len(self._topics)} topics, {len(self._clients)} clients>"


def presence_of(topic: Topic) -> Presence:
    """Return the presence of a topic.

    Raises:
        NoPresence: It has none.
    """
    if topic.presence is None:
        raise NoPresence(topic.name)
    return topic.presence
