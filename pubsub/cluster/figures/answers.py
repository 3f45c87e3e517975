"""What a process tells the others about itself: its totals, its counters, and its clients."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pubsub import fairness
from pubsub.cluster.figures.rows import ClientRow, Subscriber
from pubsub.cluster.messenger.messenger import Messenger
from pubsub.cluster.peers.beats import Totals
from pubsub.core.counters import ClientStatistics, TopicStatistics
from pubsub.core.errors import TopicNotFound
from pubsub.core.shared import SharedBroker
from pubsub.protocol.codes import Close
from pubsub.registry import Registry
from pubsub.turns import Turns

MAX_ROWS = 1001
"""Clients in one answer: a page, and one more to know whether others follow."""

_COUNTED_AT_A_TIME = fairness.LISTING_SLICE // fairness.LISTED_ROW

TOTALS, TOPICS, CLIENTS, DISCONNECT = (
    "figures.totals",
    "figures.topics",
    "figures.clients",
    "figures.disconnect",
)
"""The kinds of questions."""


class ClientsAsked(msgspec.Struct, array_like=True):
    """A question for some clients."""

    prefix: str
    """Only those whose id begins with it."""
    after: int
    """Only those whose ``joined`` is higher."""
    limit: int
    with_topics: bool
    """Whether the answer has a `Subscriber` for each, with its topics, instead of a `ClientRow`."""


class DisconnectAsked(msgspec.Struct, array_like=True):
    """A request to disconnect one client, or all clients of a user."""

    client_id: str | None
    user: str | None


class Answer(msgspec.Struct, array_like=True):
    """The answer to every question about figures."""

    totals: Totals
    slices: list[bytes]
    """Encoded lists of rows, each of which is decoded in a few milliseconds at most."""
    number: int
    """The number of clients that have the prefix, or that were disconnected."""


Counters = tuple[int, int, int, int]
"""The fields of `TopicStatistics`, in their order; all 0 for a topic that does not exist."""


class Answers:
    """Answers other processes, and counts for this one.

    Args:
        broker: The broker of this process.
        registry: Its connections.
        turns: For slices of long work.
    """

    def __init__(self, broker: SharedBroker, registry: Registry, turns: Turns) -> None:
        self._broker = broker
        self._registry = registry
        self._turns = turns

    def serve(self, messenger: Messenger) -> None:
        """Begin to answer questions."""
        messenger.handle(TOTALS, lambda body: self._encode())
        messenger.handle(TOPICS, self._answer_topics)
        messenger.handle(CLIENTS, self._answer_clients)
        messenger.handle(DISCONNECT, self._answer_disconnect)

    def totals(self) -> Totals:
        """Return the totals of this process."""
        return Totals.of(self._broker.statistics())

    async def clients(self, asked: ClientsAsked, take: Callable[[list[Any]], None]) -> int:
        """Pass clients to ``take``, slice by slice; return how many have the prefix."""
        row = _with_topics if asked.with_topics else self._row
        room = min(asked.limit, MAX_ROWS)
        for clients in self._broker.client_slices(prefix=asked.prefix, after=asked.after):
            take([row(client) for client in clients[:room]])
            room -= len(clients)
            if room <= 0:
                break
            await self._turns.wait()
        if not asked.prefix:
            return self._broker.client_count
        number = 0
        for clients in self._broker.client_slices(prefix=asked.prefix):
            number += len(clients)
            await self._turns.wait()
        return number

    def disconnect(self, client_id: str | None, user: str | None) -> int:
        """Close connections with 3503; return their number."""
        connections = [] if user is None else self._registry.of_user(user)
        entry = None if client_id is None else self._registry.of_client(client_id)
        if entry is not None:
            connections.append(entry.connection)
        for connection in connections:
            connection.close(Close.FORCE_DISCONNECT)
        return len(connections)

    def _row(self, client: ClientStatistics) -> ClientRow:
        entry = self._registry.of_client(client.id)
        return ClientRow(
            client.joined,
            client.id,
            entry.user if entry else None,
            int(entry.connected) if entry else 0,
            len(client.topics),
            client.queued,
            client.dropped,
        )

    # --- Answers ---

    async def _answer_topics(self, body: bytes) -> bytes:
        names = msgspec.msgpack.decode(body, type=list[str])
        slices: list[bytes] = []
        for start in range(0, len(names), _COUNTED_AT_A_TIME):
            counters = [self._counters(name) for name in names[start : start + _COUNTED_AT_A_TIME]]
            slices.append(msgspec.msgpack.encode(counters))
            await self._turns.wait()
        return self._encode(slices)

    def _counters(self, name: str) -> Counters:
        try:
            counted = self._broker.topic(name).statistics()
        except TopicNotFound:
            return 0, 0, 0, 0
        return counters_of(counted)

    async def _answer_clients(self, body: bytes) -> bytes:
        asked = msgspec.msgpack.decode(body, type=ClientsAsked)
        slices: list[bytes] = []
        number = await self.clients(
            asked, lambda clients: slices.append(msgspec.msgpack.encode(clients))
        )
        return self._encode(slices, number)

    def _answer_disconnect(self, body: bytes) -> bytes:
        asked = msgspec.msgpack.decode(body, type=DisconnectAsked)
        return self._encode(number=self.disconnect(asked.client_id, asked.user))

    def _encode(self, slices: Sequence[bytes] = (), number: int = 0) -> bytes:
        return msgspec.msgpack.encode(Answer(self.totals(), list(slices), number))


def _with_topics(client: ClientStatistics) -> Subscriber:
    return Subscriber(client.joined, client.id, client.topics)


def counters_of(counted: TopicStatistics) -> Counters:
    """Return rows in the form in which they are sent."""
    return counted.messages, counted.subscribers, counted.delivered, counted.dropped
