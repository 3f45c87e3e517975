"""What every relay promises: see `pubsub.relay.base`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from pubsub.relay.errors import Conflict, Unavailable
from pubsub.relay.memory import MemoryNetwork
from tests.relay.support import NatsNetwork, Network, Process, connected, process


@pytest.fixture(params=["memory", "nats"])
def network(request: pytest.FixtureRequest) -> Network:
    """A room without processes."""
    if request.param == "memory":
        return MemoryNetwork()
    return NatsNetwork(request.getfixturevalue("nats_server"))


@pytest.fixture
async def two(network: Network) -> AsyncIterator[tuple[Process, Process]]:
    """Two connected processes of a room."""
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(connected(network))
        yield one, await stack.enter_async_context(connected(network))


Two = tuple[Process, Process]


# --- Connections ---


async def test_nothing_works_before_the_connection(network: Network) -> None:
    """A relay that is not connected refuses at once, and drops messages."""
    relay = network.relay()
    assert not relay.is_connected
    assert relay.publish("c", b"1") is False
    with pytest.raises(Unavailable) as error:
        await relay.append("1.log", b"1")
    assert not error.value.unknown_fate
    for refused in (
        relay.snapshot(),
        relay.is_intact(0),
        relay.create("key", b"1"),
        relay.replace("key", b"1", 1),
        relay.delete("key", 1),
        relay.read("1.log", after=0, limit=1),
        relay.last_offset("1.log"),
        relay.forget("1.log"),
    ):
        with pytest.raises(Unavailable):
            await refused


async def test_a_subscription_made_early_holds_later(network: Network) -> None:
    """What is subscribed to and followed before the connection is received after it."""
    relay = network.relay()
    async with process(relay) as one:
        with pytest.raises(Unavailable):
            await relay.subscribe("c", one.on_message)
        with pytest.raises(Unavailable):
            await relay.follow("1", one.on_entry)
        if isinstance(network, MemoryNetwork):
            relay.connect()
        await one.until(lambda: one.connections)
        assert relay.is_connected
        async with connected(network) as other:
            other.relay.publish("c", b"1")
            await other.relay.append("1.log", b"2")
        await one.until(lambda: one.messages and one.entries)


def test_limit(network: Network) -> None:
    """The size of a message is limited, and known."""
    assert network.relay().max_bytes >= 1 << 16


# --- Channels ---


async def test_messages_arrive_in_order(two: Two) -> None:
    """What a process publishes on a channel arrives in its order, byte for byte."""
    one, other = two
    sent = [b"%d \r\n\0\xff" % number for number in range(1000)] + [b""]
    await one.relay.subscribe("c.1", one.on_message)
    assert all(other.relay.publish("c.1", data) for data in sent)
    await one.until(lambda: len(one.messages) == len(sent))
    assert one.messages == sent


async def test_no_echo(two: Two) -> None:
    """A process does not receive what it has published itself."""
    one, other = two
    await one.relay.subscribe("c", one.on_message)
    await other.relay.subscribe("c", other.on_message)
    one.relay.publish("c", b"mine")
    await other.until(lambda: other.messages)
    other.relay.publish("c", b"yours")
    await one.until(lambda: one.messages)
    assert one.messages == [b"yours"]
    assert other.messages == [b"mine"]


async def test_channels_are_separate(two: Two) -> None:
    """A process receives the channels that it has subscribed to, and no others."""
    one, other = two
    await one.relay.subscribe("c", one.on_message)
    for channel in ("d", "c.c", "cc", "c"):
        other.relay.publish(channel, channel.encode())
    await one.until(lambda: one.messages)
    assert one.messages == [b"c"]


async def test_end_of_a_subscription(two: Two) -> None:
    """After unsubscribing nothing arrives; subscribing again is one subscription."""
    one, other = two
    await one.relay.subscribe("c", one.on_message)
    await one.relay.subscribe("end", one.on_message)
    one.relay.unsubscribe("c")
    one.relay.unsubscribe("c")
    other.relay.publish("c", b"1")
    await one.relay.subscribe("d", one.on_message)
    await one.relay.subscribe("d", one.on_message)
    other.relay.publish("d", b"2")
    other.relay.publish("end", b"3")
    await one.until(lambda: b"3" in one.messages)
    assert sorted(one.messages) == [b"2", b"3"]


async def test_unsubscribing_in_a_handler(two: Two) -> None:
    """What has arrived already is not delivered after the end of a subscription."""
    one, other = two
    received = []

    def receive_one(data: bytes) -> None:
        received.append(data)
        one.relay.unsubscribe("c")

    await one.relay.subscribe("c", receive_one)
    await one.relay.subscribe("end", one.on_message)
    for number in range(100):
        other.relay.publish("c", b"%d" % number)
    other.relay.publish("end", b"end")
    await one.until(lambda: one.messages)
    assert received == [b"0"]


# --- Logs ---


async def test_all_processes_follow_one_order(two: Two) -> None:
    """All processes, the author too, get the entries of a log in the same order and gapless."""
    one, other = two
    for each in two:
        await each.relay.follow("7", each.on_entry)
    await asyncio.gather(
        *(each.relay.append("7.log", b"%d" % number) for number in range(20) for each in two)
    )
    for each in two:
        await each.until(lambda each=each: len(each.entries) == 40)
    assert one.entries == other.entries
    offsets = [offset for _, offset, _, _ in one.entries]
    assert offsets == sorted(set(offsets))
    assert [previous for _, _, _, previous in one.entries] == [0, *offsets[:-1]]


async def test_appends_of_one_process_have_its_order(two: Two) -> None:
    """Entries that a process appends before the first is confirmed stand in the order of calls."""
    relay = two[0].relay
    appended = await asyncio.gather(*(relay.append("7.log", b"%d" % n) for n in range(200)))
    offsets = [each.offset for each in appended]
    assert offsets == sorted(set(offsets))
    found = await relay.read("7.log", after=0, limit=200)
    assert [(entry.offset, int(entry.data)) for entry in found] == [
        (offset, number) for number, offset in enumerate(offsets)
    ]


async def test_previous_offset_is_that_of_the_log(two: Two) -> None:
    """The entries of several logs tell the previous offset of their own log."""
    one, other = two
    await one.relay.follow("7", one.on_entry)
    first = await other.relay.append("7.a", b"1")
    await other.relay.append("7.b", b"2")
    await other.relay.append("8.c", b"3")
    last = await other.relay.append("7.a", b"4")
    await one.until(lambda: len(one.entries) == 3)
    assert one.entries[0] == ("7.a", first.offset, b"1", 0)
    assert one.entries[2] == ("7.a", last.offset, b"4", first.offset)
    assert last.offset > first.offset
    assert not last.duplicate


async def test_end_of_following(two: Two) -> None:
    """After `unfollow` no entry arrives."""
    one, other = two
    await one.relay.follow("7", one.on_entry)
    await one.relay.follow("8", one.on_entry)
    one.relay.unfollow("7")
    await other.relay.append("7.a", b"1")
    await other.relay.append("8.a", b"2")
    await one.until(lambda: one.entries)
    assert [data for _, _, data, _ in one.entries] == [b"2"]


async def test_once(two: Two) -> None:
    """An entry with the same ``once`` is appended once to a log, whoever appends it."""
    one, other = two
    first = await one.relay.append("7.a", b"1", once="x y\r\nz")
    again = await other.relay.append("7.a", b"2", once="x y\r\nz")
    elsewhere = await other.relay.append("7.b", b"3", once="x y\r\nz")
    assert again == (first.offset, True)
    assert not elsewhere.duplicate
    assert await one.relay.read("7.a", after=0, limit=9) == [(first.offset, b"1")]


async def test_reading(two: Two) -> None:
    """`read` returns the newest entries after an offset, oldest first."""
    one, other = two
    offsets = []
    for number in range(10):
        offsets.append((await one.relay.append("7.a", b"%d" % number)).offset)
        await one.relay.append("7.b", b"another log")
    read = other.relay.read
    assert [entry.offset for entry in await read("7.a", after=0, limit=100)] == offsets
    assert [entry.offset for entry in await read("7.a", after=0, limit=3)] == offsets[-3:]
    assert [entry.offset for entry in await read("7.a", after=0, limit=1)] == offsets[-1:]
    newer = await read("7.a", after=offsets[7], limit=100)
    assert [tuple(entry) for entry in newer] == [(offsets[8], b"8"), (offsets[9], b"9")]
    assert await read("7.a", after=offsets[9], limit=100) == []
    last = [await one.relay.append("7.a", b"last") for _ in range(2)]
    assert await read("7.a", after=last[0].offset, limit=100) == [(last[1].offset, b"last")]
    offsets += [each.offset for each in last]
    assert await read("7.a", after=0, limit=0) == []
    assert await read("7.c", after=0, limit=100) == []
    assert await other.relay.last_offset("7.a") == offsets[-1]
    assert await other.relay.last_offset("7.c") == 0


async def test_forgetting(two: Two) -> None:
    """`forget` deletes all entries of one log, and offsets go on."""
    one, other = two
    first = await one.relay.append("7.a", b"1")
    await one.relay.append("7.b", b"2")
    await other.relay.forget("7.a")
    assert await one.relay.read("7.a", after=0, limit=9) == []
    assert len(await one.relay.read("7.b", after=0, limit=9)) == 1
    assert (await one.relay.append("7.a", b"3")).offset > first.offset


# --- The registry ---


async def test_one_of_many_creates_a_key(two: Two) -> None:
    """Of many simultaneous creations of a key exactly one succeeds."""
    for _ in range(3):
        results = await asyncio.gather(
            *(each.relay.create("key", b"1") for _ in range(10) for each in two),
            return_exceptions=True,
        )
        (revision,) = (result for result in results if isinstance(result, int))
        assert sum(isinstance(result, Conflict) for result in results) == 19
        # The next round creates a key that was deleted.
        await two[0].relay.delete("key", revision)


async def test_changes_reach_all_processes(two: Two) -> None:
    """Every process, the author too, gets all changes with consecutive revisions."""
    one, other = two
    created = await one.relay.create("a", b"1")
    replaced = await other.relay.replace("a", b"", created)
    deleted = await one.relay.delete("a", replaced)
    again = await other.relay.create("a", b"2")
    expected = [("a", b"1", 1), ("a", b"", 2), ("a", None, 3), ("a", b"2", 4)]
    for each in two:
        await each.until(lambda each=each: len(each.changes) == 4)
        assert each.changes == expected
    assert [created, replaced, deleted, again] == [1, 2, 3, 4]


async def test_only_the_newest_revision_can_be_changed(two: Two) -> None:
    """A key whose revision is another is neither replaced nor deleted."""
    one, other = two
    revision = await one.relay.create("a", b"1")
    await other.relay.replace("a", b"2", revision)
    for change in (
        one.relay.replace("a", b"3", revision),
        one.relay.delete("a", revision),
        one.relay.delete("b", revision),
        one.relay.create("a", b"3"),
    ):
        with pytest.raises(Conflict):
            await change
    assert (await one.relay.snapshot()).entries == {"a": (b"2", revision + 1)}


async def test_a_deleted_key_is_no_key_that_was_never_there(two: Two) -> None:
    """Revision 0 stands for a key that was never there; one that was deleted has another."""
    one, other = two
    created = await one.relay.replace("a", b"1", 0)
    assert (await other.relay.snapshot()).entries == {"a": (b"1", created)}
    with pytest.raises(Conflict):
        await other.relay.replace("a", b"2", 0)
    deleted = await other.relay.delete("a", created)
    with pytest.raises(Conflict):
        await one.relay.replace("a", b"3", 0)
    assert (await one.relay.snapshot()).entries == {}
    assert await one.relay.create("a", b"4") == deleted + 1


async def test_snapshot(two: Two) -> None:
    """A snapshot has what exists, its revisions, and the offset of the newest entry."""
    one, other = two
    empty = await one.relay.snapshot()
    assert (empty.entries, empty.revision, empty.last_offset) == ({}, 0, 0)
    await one.relay.create("a", b"1")
    deleted = await one.relay.create("b", b"2")
    await one.relay.create("c-_", b"3")
    await one.relay.delete("b", deleted)
    offset = (await one.relay.append("7.a", b"1")).offset
    snapshot = await other.relay.snapshot()
    assert snapshot.entries == {"a": (b"1", 1), "c-_": (b"3", 3)}
    assert (snapshot.revision, snapshot.last_offset) == (4, offset)
    assert snapshot[2:4] == empty[2:4]


async def test_intact_stores(two: Two) -> None:
    """Stores to which something was added, and from which something was deleted, are intact."""
    one, other = two
    for number in range(3):
        await one.relay.create(f"k{number}", b"1")
    await other.relay.delete("k0", 1)
    await other.relay.append("7.a", b"1")
    await other.relay.forget("7.a")
    assert await one.relay.is_intact(2)
    assert await other.relay.is_intact(2)


async def test_a_snapshot_and_the_changes_after_it_are_complete(two: Two) -> None:
    """While another process changes the registry, snapshot and changes fit together."""
    one, other = two

    async def change() -> None:
        for number in range(100):
            revision = await other.relay.create(f"k{number}", b"1")
            if number % 3:
                await other.relay.delete(f"k{number}", revision)

    changing = asyncio.create_task(change())
    await one.until(lambda: len(one.changes) > 20)
    snapshot = await one.relay.snapshot()
    await changing
    entries = {key: value for key, (value, _) in snapshot.entries.items()}
    await one.until(lambda: len(one.changes) == 166)
    for key, value, revision in one.changes:
        if revision > snapshot.revision:
            if value is None:
                entries.pop(key, None)
            else:
                entries[key] = value
    assert entries == {f"k{number}": b"1" for number in range(0, 100, 3)}
