"""The drain: who leaves when, with which notice, and what a slow reader still gets."""

import asyncio
from typing import Any

import pytest

from pubsub.drain import MIN_DELAY, reconnect_interval
from pubsub.protocol.codes import Close
from tests.connection.support import MemoryTransport, Room, open_room, publication, turn

SECONDS = 0.2
"""How long a drain lasts here."""

SUBSCRIBE = {"type": "subscribe", "topic": "t"}


def left(transports: list[MemoryTransport]) -> list[bool]:
    """Return which of these clients were sent away."""
    return [each.closed_with is Close.SHUTDOWN for each in transports]


def shutdowns(transport: MemoryTransport) -> list[dict[str, Any]]:
    """Return the notices of the shutdown that a client got."""
    return [each for each in transport.sent if each.get("msg") == "shutdown"]


async def connect(room: Room, count: int) -> list[MemoryTransport]:
    """Connect some clients."""
    return [(await room.connect())[0] for _ in range(count)]


async def until_left(transport: MemoryTransport) -> None:
    """Wait until a client was sent away."""
    async with asyncio.timeout(60):
        await transport.wait_closed()


# --- At once ---


async def test_everyone_at_once_by_default() -> None:
    """Without a duration nobody gets a notice, and everyone leaves in the same tick."""
    async with open_room() as room:
        transports = await connect(room, 3)
        await room.runtime.drain.spread()
        assert left(transports) == [False] * 3
        finished = room.runtime.drain.finish()
        assert left(transports) == [True] * 3
        assert [each.sent for each in transports] == [[]] * 3
        await finished


async def test_cutting_a_drain_short() -> None:
    """Everyone leaves at once, whatever the duration, and the drain has nothing left to do."""
    async with open_room(drain_seconds=1000) as room, asyncio.timeout(60):
        transports = await connect(room, 3)
        draining = asyncio.ensure_future(room.runtime.drain.spread())
        room.runtime.drain.stop_all()
        assert left(transports) == [True] * 3
        await draining


@pytest.mark.parametrize("seconds", [0, 1000])
async def test_client_whose_handshake_was_under_way(seconds: float) -> None:
    """A client that was accepted before the drain and joins during it leaves again."""
    async with open_room(drain_seconds=seconds) as room, asyncio.timeout(60):
        (first,) = await connect(room, 1)
        draining = asyncio.ensure_future(room.runtime.drain.spread())
        (late,) = await connect(room, 1)
        assert left([first, late]) == [False, True]
        assert len(shutdowns(late)) == (1 if seconds else 0)
        first.lose()
        await draining


# --- Over a time ---


async def test_one_after_the_other() -> None:
    """Clients leave in the order in which they came, each right after its notice."""
    async with open_room(drain_seconds=SECONDS) as room:
        transports = await connect(room, 4)
        draining = asyncio.ensure_future(room.runtime.drain.spread())
        assert room.runtime.readiness == "draining"
        order: list[int] = []

        async def note(number: int, transport: MemoryTransport) -> None:
            await until_left(transport)
            order.append(number)

        leaving = [note(number, transport) for number, transport in enumerate(transports)]
        noted = asyncio.gather(*leaving)
        await turn()
        assert order == []
        await draining
        await noted
        assert order == [0, 1, 2, 3]
        for transport in transports:
            (notice,) = transport.sent
            assert list(notice) == ["type", "msg", "reconnect_in_ms", "ts"]
            assert (notice["type"], notice["msg"]) == ("info", "shutdown")


async def test_room_works_during_the_drain() -> None:
    """Those who are still there can publish, and get what is published."""
    async with open_room(drain_seconds=1000) as room, asyncio.timeout(60):
        publisher, subscriber = await connect(room, 2)
        draining = asyncio.ensure_future(room.runtime.drain.spread())
        subscriber.receive(SUBSCRIBE)
        publisher.receive(publication("t", "still here"))
        await turn()
        assert subscriber.sent[-1]["message"]["payload"] == "still here"
        room.runtime.drain.stop_all()
        await draining


async def test_drain_without_clients() -> None:
    """It takes no time, as it does once the last client has left."""
    async with open_room(drain_seconds=1000) as room, asyncio.timeout(60):
        await room.runtime.drain.spread()
    async with open_room(drain_seconds=1000) as room, asyncio.timeout(60):
        transports = await connect(room, 2)
        draining = asyncio.ensure_future(room.runtime.drain.spread())
        for transport in transports:
            transport.lose()
        await draining


def test_repr() -> None:
    """A drain shows its duration and whether it has begun."""
    room = Room(drain_seconds=1.5)
    assert repr(room.runtime.drain) == "<Drain over 1.5 s, idle>"
    room.runtime.drain.stop_all()
    assert repr(room.runtime.drain) == "<Drain over 1.5 s, active>"


# --- Slow readers ---


async def test_slow_reader_gets_what_was_queued() -> None:
    """It leaves once it has read everything, and the notice is the last message."""
    async with open_room(drain_seconds=SECONDS) as room:
        slow, publisher = await connect(room, 2)
        slow.receive(SUBSCRIBE)
        await turn()
        slow.writable = False
        publisher.receive(publication("t", 1), publication("t", 2))
        draining = asyncio.ensure_future(room.runtime.drain.spread())
        await until_left(publisher)
        assert left([slow]) == [False]
        slow.drain()
        await draining
        assert left([slow]) == [True]
        assert [message["type"] for message in slow.sent] == ["ack", "event", "event", "info"]


async def test_stuck_reader_does_not_hold_up_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that reads nothing is disconnected a moment after the drain."""
    monkeypatch.setattr("pubsub.drain.FLUSH_TIMEOUT", 0.1)
    async with open_room(drain_seconds=0.01) as room, asyncio.timeout(60):
        (stuck,) = await connect(room, 1)
        stuck.writable = False
        await room.runtime.drain.spread()
        assert left([stuck]) == [False]
        await room.runtime.drain.finish()
        assert left([stuck]) == [True]


# --- The return ---


@pytest.mark.parametrize(
    ("clients", "milliseconds"), [(0, 1000), (500, 1000), (10_000, 20_000), (10**6, 60_000)]
)
def test_interval_grows_with_the_number_of_clients(clients: int, milliseconds: int) -> None:
    """500 clients reconnect per second, within a second at least and a minute at most."""
    assert reconnect_interval(clients) == milliseconds


async def test_clients_do_not_come_back_together() -> None:
    """The times to reconnect are spread over the whole interval."""
    async with open_room(drain_seconds=0.01) as room:
        transports = await connect(room, 200)
        await room.runtime.drain.spread()
        delays = [shutdowns(each)[0]["reconnect_in_ms"] - MIN_DELAY for each in transports]
        assert {delay // 250 for delay in delays} == {0, 1, 2, 3}
