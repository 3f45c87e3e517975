"""Copies of many logs that begin again at once."""

import asyncio

import pytest

from pubsub.cluster.journals.refills import FILLED_AT_ONCE, Refills
from pubsub.protocol.replies import encode_topic_deleted
from tests.cluster.journal_room import Process, Room, events, settle

NAMES = [f"t{number}" for number in range(5 * FILLED_AT_ONCE)]


async def make_room() -> tuple[Room, Process]:
    """Return a room with many topics, and its process, which has a subscriber to all of them."""
    room = Room(1)
    (process,) = room.processes
    client = process.client()
    for name in NAMES:
        await room.create(name)
        await process.journals.open(name)
        process.broker.subscribe(client, name)
    return room, process


async def lose_all_logs(room: Room, process: Process) -> None:
    """Lose all logs, and give all topics new epochs in one turn of the event loop."""
    room.network.lose_stores()
    for name in NAMES:
        await process.journals.begin(name, "epoch002")
    await settle()
    for name in NAMES:
        process.broker.begin_again(name, "epoch002", encode_topic_deleted(name))
        process.journals.on_begun_again(name)


async def test_many_copies_are_filled_few_at_a_time() -> None:
    """When thousands of logs begin again, a bounded number of them is read at the same time."""
    room, process = await make_room()
    await lose_all_logs(room, process)
    most = 0
    while process.journals.statistics().open < len(NAMES):
        most = max(most, process.journals.statistics().filling)
        await asyncio.sleep(0)
    assert most == FILLED_AT_ONCE


async def test_a_copy_that_a_client_needs_does_not_wait() -> None:
    """A client that subscribes to one of many topics that begin again is not held up by others."""
    room, process = await make_room()
    await lose_all_logs(room, process)
    await process.journals.open(NAMES[-1])
    assert process.journals.statistics().open < len(NAMES) // 2
    client = process.client()
    process.broker.subscribe(client, NAMES[-1])
    await process.publish(1, NAMES[-1])
    await settle()
    assert events(client) == [1]


async def test_a_client_that_waits_already() -> None:
    """A client that waits for a copy when its log begins again gets the new one soon."""
    room, process = await make_room()
    await lose_all_logs(room, process)
    await room.create("t")
    await process.journals.begin("t", "epoch002")
    opening = asyncio.ensure_future(process.journals.open("t"))
    await asyncio.sleep(0)
    assert not process.journals.is_open("t")
    process.broker.begin_again("t", "epoch002", encode_topic_deleted("t"))
    process.journals.on_begun_again("t")
    await opening
    assert process.journals.is_open("t")
    assert process.journals.statistics().open < len(NAMES) // 2


async def test_a_topic_that_is_deleted_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    """A topic that is deleted while its copy waits is not read."""
    room, process = await make_room()
    await lose_all_logs(room, process)
    process.broker.remove(NAMES[-1], encode_topic_deleted("deleted"))
    process.journals.on_removed(NAMES[-1])
    await settle(200)
    assert process.journals.statistics().open == len(NAMES) - 1
    assert caplog.records == []


async def test_without_the_network() -> None:
    """What could not be filled because the connection was lost is filled after the next one."""
    room, process = await make_room()
    await lose_all_logs(room, process)
    process.relay.disconnect()
    await settle()
    assert process.journals.statistics().open == 0
    assert len(process.clock.timers) <= FILLED_AT_ONCE
    process.relay.connect()
    await process.journals.synchronize()
    assert process.journals.statistics().open == len(NAMES)


async def test_closing() -> None:
    """A process that stops fills nothing more."""
    room, process = await make_room()
    await lose_all_logs(room, process)
    process.journals.close()
    await settle()
    assert process.journals.statistics().open == 0
    assert repr(Refills(process.relay)) == "<Refills, 0 waiting>"
