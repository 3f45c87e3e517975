"""Figures of the whole room: those of this process, combined with the answers of the others."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from pubsub.cluster.figures.answers import (
    CLIENTS,
    DISCONNECT,
    TOPICS,
    TOTALS,
    Answer,
    Answers,
    ClientsAsked,
    Counters,
    DisconnectAsked,
    counters_of,
)
from pubsub.cluster.figures.rows import ClientRow, FirstRows, Subscriber, end_of_page
from pubsub.cluster.messenger.messenger import Messenger
from pubsub.cluster.peers.beats import Totals
from pubsub.cluster.peers.peers import Peers
from pubsub.core.counters import TopicStatistics
from pubsub.core.publication import Position
from pubsub.relay.errors import Unavailable
from pubsub.turns import Turns

SUMMED = (
    *("clients", "subscribers", "messages", "delivered", "dropped"),
    *("history_bytes", "history_evicted"),
)
"""The totals that are added up. The number of topics is not: all processes have the same ones."""

_BYTES_OF_NAME = 520
"""Bytes that the name of a topic takes in a question at most."""

Named = tuple[str, TopicStatistics]


class ClientPage(NamedTuple):
    """A page of clients of all processes, in the order in which they connected."""

    rows: list[Any]
    """`ClientRow`, or `Subscriber` with their topics."""

    is_last: bool
    total: int
    """The number of all clients with the prefix."""


class Figures:
    """Answers questions about the whole room, one `Inquiry` for each request.

    Args:
        process_id: The id of this process.
        messenger: Asks the others.
        peers: Knows which other processes live, and their last figures.
        answers: Counts for this process.
        turns: For slices of long work.
        is_connected: Returns whether this process takes part in the room.
        position: Returns the position of a topic with history in the order that all processes
            share; it may raise `Unavailable`.
        clock: Returns the time in seconds, as for ``peers``.
    """

    def __init__(
        self,
        process_id: str,
        messenger: Messenger,
        peers: Peers,
        answers: Answers,
        *,
        turns: Turns,
        is_connected: Callable[[], bool],
        position: Callable[[str], Awaitable[Position | None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.process_id = process_id
        self.messenger = messenger
        self.peers = peers
        self.answers = answers
        self.turns = turns
        self.is_connected = is_connected
        self.position = position
        self.clock = clock
        answers.serve(messenger)

    def inquire(self) -> "Inquiry":
        """Begin a request, for which the processes are asked that are alive now."""
        return Inquiry(self)


class _Other:
    """Another process, and its last known figures."""

    __slots__ = ("answers", "as_of", "counts", "serves", "totals")

    def __init__(
        self, totals: Totals, as_of: float, counts: dict[str, int], *, serves: bool
    ) -> None:
        self.totals = totals
        self.as_of = as_of
        self.counts = counts
        self.serves = serves
        self.answers = True


class Inquiry:
    """The questions to all processes that one request needs.

    A process that does not answer a question within half a second is not asked again; its last
    heartbeat takes the place of its answers as far as it can. Without the network only this process
    is asked.
    """

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self.is_complete = figures.is_connected()
        """Whether all processes have answered so far."""
        alive = figures.peers.alive if self.is_complete else []
        self._others = {
            peer.id: _Other(peer.totals, peer.heard, peer.counts, serves=peer.serves)
            for peer in alive
        }

    def processes(self) -> list[dict[str, Any]]:
        """Return the processes that serve clients: this one, and then the others by id."""
        figures = self._figures
        own, now = figures.answers.totals(), figures.clock()
        found = [_process(figures.process_id, own, 0.0)]
        for name, other in self._others.items():
            if other.serves:
                found.append(_process(name, other.totals, now - other.as_of))
        return found

    # --- Questions ---

    async def totals(self) -> Totals:
        """Return the totals of the room; ``uptime`` is that of this process."""
        await self._ask(TOTALS, b"")
        own = self._figures.answers.totals()
        every = [own, *(other.totals for other in self._others.values())]
        sums = {name: sum(getattr(each, name) for each in every) for name in SUMMED}
        return msgspec.structs.replace(own, **sums)

    async def topics(self, topics: Sequence[Named]) -> list[Named]:
        """Add what other processes count to the counters of topics, at most a page of them."""
        size = max(1, self._figures.messenger.max_question // _BYTES_OF_NAME)
        found: list[Named] = []
        for start in range(0, len(topics), size):
            some = topics[start : start + size]
            names = [name for name, _ in some]
            answers = await self._ask(TOPICS, msgspec.msgpack.encode(names))
            sums = [counters_of(counted) for _, counted in some]
            for name, other in self._others.items():
                if name in answers:
                    slices = answers[name].slices
                    more = [
                        row
                        for some_rows in slices
                        for row in msgspec.msgpack.decode(some_rows, type=list[Counters])
                    ]
                else:
                    more = [(0, other.counts.get(topic, 0), 0, 0) for topic in names]
                sums = [
                    (a + e, b + f, c + g, d + h)
                    for (a, b, c, d), (e, f, g, h) in zip(sums, more, strict=True)
                ]
                await self._figures.turns.wait()
            found += [
                (name, TopicStatistics(*counted)) for name, counted in zip(names, sums, strict=True)
            ]
        return found

    async def position(self, topic: str) -> Position | None:
        """Return the position of a topic with history; ``None`` if others are out of reach."""
        if self._figures.is_connected():
            try:
                return await self._figures.position(topic)
            except Unavailable:
                pass
        self.is_complete = False
        return None

    async def clients(
        self, *, prefix: str, after: int, limit: int, with_topics: bool = False
    ) -> ClientPage:
        """Return a page of clients; see `ClientsAsked`.

        Two clients of different processes may have the same place in the order. Such clients are
        never on different pages, so a page may have fewer rows than ``limit`` (or more, if it has
        no others).
        """
        figures = self._figures
        asked = ClientsAsked(prefix, after, limit + 1, with_topics)
        answers = await self._ask(CLIENTS, msgspec.msgpack.encode(asked))
        merged = FirstRows(limit + 1 + len(answers))
        own: list[Any] = []
        total = await figures.answers.clients(asked, own.extend)
        merged.add(own)
        kind = Subscriber if with_topics else ClientRow
        for answer in answers.values():
            rows: list[Any] = []
            for some in answer.slices:
                rows += msgspec.msgpack.decode(some, type=list[kind])  # type: ignore[valid-type]
                await figures.turns.wait()
            merged.add(rows)
            total += answer.number
            await figures.turns.wait()
        if not prefix:
            total += sum(
                other.totals.clients for other in self._others.values() if not other.answers
            )
        rows = merged.rows
        end = end_of_page(rows, limit)
        return ClientPage(rows[:end], end == len(rows), total)

    async def disconnect(self, *, client_id: str | None = None, user: str | None = None) -> int:
        """Disconnect a client, or all clients of a user; return their number.

        The others are not asked for a client that this process has.
        """
        number = self._figures.answers.disconnect(client_id, user)
        if client_id is None or not number:
            asked = msgspec.msgpack.encode(DisconnectAsked(client_id, user))
            answers = await self._ask(DISCONNECT, asked)
            number += sum(answer.number for answer in answers.values())
        return number

    async def _ask(self, kind: str, body: bytes) -> dict[str, Answer]:
        """Ask those that have answered so far; return their answers, and note their totals."""
        figures = self._figures
        asked = [name for name, other in self._others.items() if other.answers]
        given = await figures.messenger.ask_all(kind, body, asked)
        answers = {}
        now = figures.clock()
        for name in asked:
            other = self._others[name]
            answer = _decode(given.get(name, b""))
            if answer is None:
                other.answers = self.is_complete = False
            else:
                answers[name] = answer
                other.totals, other.as_of = answer.totals, now
        return answers


def _process(process_id: str, totals: Totals, age: float) -> dict[str, Any]:
    return {
        "id": process_id,
        "uptime_sec": int(totals.uptime + age),
        "clients": totals.clients,
        "age_ms": int(age * 1000),
    }


def _decode(data: bytes) -> Answer | None:
    """Return an answer; ``None`` if it is none, or of another version of the program."""
    try:
        return msgspec.msgpack.decode(data, type=Answer)
    except msgspec.MsgspecError:
        return None
