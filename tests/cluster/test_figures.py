"""Figures of the whole room, from three processes, with some that do not answer."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from pubsub.cluster.figures.answers import MAX_ROWS, ClientsAsked
from pubsub.cluster.figures.figures import Inquiry
from pubsub.core.counters import TopicStatistics
from pubsub.core.publication import Position
from tests.cluster.room import FakeConnection, Process, Room
from tests.cluster.support import turns
from tests.core.support import publish

T = TypeVar("T")

LATER = 1 << 62
"""A time in nanoseconds that no clock shows."""


class Three(Room):
    """A room of three processes with the topics "t" and "u"."""

    async def start(self) -> "Three":
        """Start them."""
        for name in "abc":
            process = await self.add(name)
            process.install("t", "u")
        return self

    @property
    def a(self) -> Process:
        """The first process."""
        return self.processes[0]

    @property
    def b(self) -> Process:
        """The second process."""
        return self.processes[1]

    @property
    def c(self) -> Process:
        """The third process."""
        return self.processes[2]

    async def wait(self, question: Coroutine[Any, Any, T], seconds: float = 0.5) -> T:
        """Return the answers to a question that are there after some time."""
        task = asyncio.ensure_future(question)
        await self.time.pass_by(seconds)
        assert task.done()
        return await task


@pytest.fixture
async def room() -> Three:
    """Return a room of three processes."""
    return await Three().start()


async def topic(inquiry: Inquiry, name: str) -> TopicStatistics:
    """Return the counters of a topic, of which this process counts one of each."""
    ((found, counted),) = await inquiry.topics([(name, TopicStatistics(1, 1, 1, 1))])
    assert found == name
    return counted


async def test_totals(room: Three) -> None:
    """All but the topics are sums, because all processes have the same topics."""
    room.a.connect("t")
    room.b.connect("t", "u")
    room.c.connect("u")
    publish(room.b.broker, "t", "x")
    publish(room.c.broker, "t", "x")
    for process in room.processes:
        process.install("kept", history=10)
        process.broker.deliver_kept("kept", b"x", offset=1, publisher_id=None, user=None)
    inquiry = room.a.figures.inquire()
    totals = await inquiry.totals()
    assert (totals.topics, totals.clients, totals.subscribers) == (3, 3, 4)
    assert (totals.messages, totals.delivered, totals.dropped) == (2, 1, 0)
    own = [process.broker.statistics().history_bytes for process in room.processes]
    assert totals.history_bytes == sum(own) > max(own) > 0
    assert inquiry.is_complete


async def test_processes(room: Three) -> None:
    """The answering process is the first, and the figures of all are new."""
    room.b.connect()
    inquiry = room.b.figures.inquire()
    await room.time.pass_by(0.25)
    assert [each["age_ms"] for each in inquiry.processes()] == [0, 250, 250]
    await inquiry.totals()
    processes = inquiry.processes()
    assert all(each.pop("uptime_sec") >= 0 for each in processes)
    assert processes == [
        {"id": "b", "clients": 1, "age_ms": 0},
        {"id": "a", "clients": 0, "age_ms": 0},
        {"id": "c", "clients": 0, "age_ms": 0},
    ]


async def test_a_process_that_publishes_only(room: Three) -> None:
    """What it has accepted counts, but it is not among those that serve."""
    worker = await room.add("w", serves=False)
    worker.install("t")
    publish(worker.broker, "t", "x")
    inquiry = room.a.figures.inquire()
    assert (await inquiry.totals()).messages == 1
    assert [each["id"] for each in inquiry.processes()] == ["a", "b", "c"]


async def test_topics(room: Three) -> None:
    """The counters of a topic are sums, also where another process does not know it yet."""
    room.b.connect("t")
    publish(room.b.broker, "t", "x")
    room.c.connect("t")
    inquiry = room.a.figures.inquire()
    assert await topic(inquiry, "t") == TopicStatistics(2, 3, 2, 1)
    assert await topic(inquiry, "new") == TopicStatistics(1, 1, 1, 1)


async def test_a_page_of_topics_takes_several_questions(room: Three) -> None:
    """The order of the topics stays when a question has no room for all of them."""
    names = [f"{number:03}" for number in range(100)]
    room.b.install(*names)
    room.b.connect(*names[50:])
    room.a.relay.max_bytes = 40_000
    zero = TopicStatistics(0, 0, 0, 0)
    found = await room.a.figures.inquire().topics([(name, zero) for name in names])
    assert [name for name, _ in found] == names
    assert [counted.subscribers for _, counted in found] == [0] * 50 + [1] * 50
    assert room.a.messenger.statistics().asked > 2


async def test_a_process_does_not_answer(room: Three) -> None:
    """Its last heartbeat counts, and it is not asked again for the same request."""
    room.b.connect("t")
    room.c.connect("t")
    room.b.peers.beat_now()
    await turns()
    room.b.be_silent()
    inquiry = room.a.figures.inquire()
    totals = await room.wait(inquiry.totals())
    assert (totals.clients, inquiry.is_complete) == (2, False)
    async with asyncio.timeout(5):
        assert await topic(inquiry, "t") == TopicStatistics(1, 3, 1, 1)
        page = await inquiry.clients(prefix="", after=0, limit=10)
    assert (len(page.rows), page.total) == (1, 2)
    assert [each["age_ms"] for each in inquiry.processes()] == [0, 500, 0]


async def test_a_process_answers_something_else(room: Three) -> None:
    """An answer that cannot be read is none."""
    room.b.messenger.handle("figures.totals", lambda body: b"\xc1")
    inquiry = room.a.figures.inquire()
    await inquiry.totals()
    assert not inquiry.is_complete


async def test_a_process_that_was_killed(room: Three) -> None:
    """It is out of the figures, which are complete without it."""
    room.b.connect("t")
    await room.time.pass_by(1)
    room.b.relay.is_connected = False
    await room.time.pass_by(8)
    inquiry = room.a.figures.inquire()
    assert (await inquiry.totals()).clients == 0
    assert [each["id"] for each in inquiry.processes()] == ["a", "c"]
    assert inquiry.is_complete


async def test_without_the_network(room: Three) -> None:
    """The figures are those of this process, and not complete."""
    room.a.connect("t")
    room.b.connect("t")
    room.a.relay.disconnect()
    inquiry = room.a.figures.inquire()
    assert (await inquiry.totals()).clients == 1
    assert await topic(inquiry, "t") == TopicStatistics(1, 1, 1, 1)
    assert [each["id"] for each in inquiry.processes()] == ["a"]
    assert await inquiry.position("t") is None
    assert not inquiry.is_complete


async def test_position(room: Three) -> None:
    """The position is what the network says; without an answer the figures are not complete."""
    room.a.positions["t"] = Position("epoch", 7)
    inquiry = room.a.figures.inquire()
    assert await inquiry.position("t") == ("epoch", 7)
    assert inquiry.is_complete
    assert await inquiry.position("u") is None
    assert not inquiry.is_complete


# --- Clients ---


def in_turn(room: Three, number: int) -> list[FakeConnection]:
    """Connect clients to one process after the other."""
    return [
        room.processes[each % 3].connect("t", user=f"u{each}", joined=LATER + each)
        for each in range(number)
    ]


async def test_pages_of_clients(room: Three) -> None:
    """All pages together have every client once, in the order in which they connected."""
    clients = in_turn(room, 11)
    found: list[Any] = []
    sizes = []
    is_last = False
    while not is_last:
        after = found[-1].joined if found else 0
        page = await room.b.figures.inquire().clients(prefix="", after=after, limit=4)
        found += page.rows
        sizes.append(len(page.rows))
        is_last = page.is_last
        assert page.total == 11
    assert sizes == [4, 4, 3]
    assert [row.id for row in found] == [each.client.id for each in clients]
    assert [row.user for row in found] == [f"u{number}" for number in range(11)]
    assert {(row.topics, row.queued, row.dropped) for row in found} == {(1, 0, 0)}
    assert all(row.connected_sec >= 0 for row in found)


async def test_clients_with_a_prefix(room: Three) -> None:
    """Only those whose id begins with it are listed and counted, in all processes."""
    clients = in_turn(room, 9)
    prefix = clients[4].client.id[0]
    expected = [each.client.id for each in clients if each.client.id.startswith(prefix)]
    page = await room.a.figures.inquire().clients(prefix=prefix, after=0, limit=10)
    assert [row.id for row in page.rows] == expected
    assert (page.is_last, page.total) == (True, len(expected))


async def test_clients_of_the_same_moment(room: Three) -> None:
    """They are on one page, because the cursor could not name a place between them."""
    room.a.connect(joined=LATER)
    for process in room.processes:
        process.connect(joined=LATER + 1)
    room.a.connect(joined=LATER + 2)

    async def page(after: int, limit: int) -> tuple[list[int], bool]:
        found = await room.a.figures.inquire().clients(prefix="", after=after, limit=limit)
        return [row.joined - LATER for row in found.rows], found.is_last

    assert await page(0, 2) == ([0], False)
    assert await page(0, 4) == ([0, 1, 1, 1], False)
    assert await page(LATER, 1) == ([1, 1, 1], False)
    assert await page(LATER + 1, 1) == ([2], True)


async def test_many_subscriptions(room: Three) -> None:
    """Clients with their topics arrive in slices."""
    names = [f"topic-{number:03}" for number in range(128)]
    room.b.install(*names)
    clients = [room.b.connect(*names) for _ in range(100)]
    inquiry = room.a.figures.inquire()
    page = await inquiry.clients(prefix="", after=0, limit=1000, with_topics=True)
    assert [row.id for row in page.rows] == [each.client.id for each in clients]
    assert {tuple(row.topics) for row in page.rows} == {tuple(names)}


async def test_an_answer_is_bounded(room: Three) -> None:
    """It has no more clients than are asked for, and never more than `MAX_ROWS`."""
    for _ in range(MAX_ROWS + 10):
        room.a.connect()
    for asked, given in ((3, 3), (2 * MAX_ROWS, MAX_ROWS)):
        rows: list[Any] = []
        total = await room.a.figures.answers.clients(
            ClientsAsked("", 0, asked, with_topics=False), rows.extend
        )
        assert (len(rows), total) == (given, MAX_ROWS + 10)


async def test_disconnect_a_client(room: Three) -> None:
    """A client is found in whatever process it is."""
    here, there = room.a.connect(), room.b.connect()
    for each in (here, there):
        assert await room.a.figures.inquire().disconnect(client_id=each.client.id) == 1
        assert each.was_kicked
    assert await room.a.figures.inquire().disconnect(client_id=here.client.id) == 0


async def test_nobody_is_asked_for_a_client_of_this_process(room: Three) -> None:
    """A process that hangs does not keep a client of another process connected."""
    client = room.a.connect().client
    room.b.be_silent()
    inquiry = room.a.figures.inquire()
    async with asyncio.timeout(5):
        assert await inquiry.disconnect(client_id=client.id) == 1
    assert inquiry.is_complete


async def test_disconnect_a_user(room: Three) -> None:
    """All clients of the user are disconnected, wherever they are, and no others."""
    ann = [process.connect(user="ann") for process in room.processes]
    bob = room.b.connect(user="bob")
    assert await room.a.figures.inquire().disconnect(user="ann") == 3
    assert all(each.was_kicked for each in ann)
    assert not bob.was_kicked


async def test_disconnect_while_a_process_is_silent(room: Three) -> None:
    """Without its answer, it is not certain that no client was found."""
    room.b.be_silent()
    inquiry = room.a.figures.inquire()
    assert await room.wait(inquiry.disconnect(user="ann")) == 0
    assert not inquiry.is_complete
