"""Topics with history in several processes: one order, one position, no silent loss."""

import asyncio
import json

import pytest

from pubsub.cluster.journals import entries
from pubsub.cluster.journals.collection import UNUSED_SECONDS
from pubsub.cluster.journals.copies import LAST_RETRY, MAX_HELD
from pubsub.cluster.names import log_of, partition_of
from pubsub.core.errors import NoHistory, TopicNotFound
from pubsub.core.publication import Position
from pubsub.protocol.replies import encode_topic_deleted as deleted
from pubsub.relay.base import TIMEOUT
from pubsub.relay.errors import Unavailable
from tests.cluster.journal_room import EPOCH, UUID, Room, events, make_room, settle
from tests.core.support import read

LOG = log_of("t", EPOCH)


async def test_a_message_reaches_subscribers_of_all_processes() -> None:
    """A message reaches the subscribers of every process once, with its offset in the log."""
    room = await make_room(3)
    clients = [await process.join() for process in room.processes]
    publication = await room.processes[1].publish({"a": 1}, user="42")
    await settle()
    for client in clients:
        (text,) = read(client)
        frame = json.loads(text)
        assert frame["offset"] == publication.offset
        assert list(frame)[-2:] == ["offset", "user"]
        assert frame["message"] == {"id": UUID, "payload": {"a": 1}}
        assert frame["ts"] == "1970-01-12T13:46:40.000Z"


async def test_a_publication_says_what_became_of_it() -> None:
    """The publication has the time and the offset, and counts the subscribers of all processes."""
    room = await make_room()
    publication = await room.processes[0].publish(1)
    assert (publication.time, publication.offset, publication.subscribers) == (10**9, 2, 7)
    assert not publication.duplicate
    await room.processes[0].publish(2, publisher_id="c1")
    statistics = room.processes[0].broker.statistics()
    assert (statistics.messages, statistics.client_publications) == (2, 1)
    assert room.processes[1].broker.statistics().messages == 0


async def test_the_publisher_gets_no_copy() -> None:
    """The publishing client gets no copy of its message; others in its process do."""
    room = await make_room()
    publisher, other = [await room.processes[0].join() for _ in range(2)]
    await room.processes[0].publish(1, publisher_id=publisher.id)
    await settle()
    assert (events(publisher), events(other)) == ([], [1])


async def test_there_is_one_order() -> None:
    """Messages that several processes publish at once arrive in one order everywhere."""
    room = await make_room(3)
    clients = [await process.join() for process in room.processes]
    await asyncio.gather(
        *(process.publish(n) for n, process in enumerate(room.processes * 20)),
    )
    await settle()
    received = [events(client) for client in clients]
    assert sorted(received[0]) == list(range(60))
    assert received[1:] == received[:1] * 2


async def test_offsets_have_holes() -> None:
    """Messages to other topics use up offsets too, which is no gap."""
    room = await make_room()
    await room.create("u")
    client = await room.processes[1].join()
    for n in range(3):
        await room.processes[0].publish(n)
        await room.processes[0].publish(n, "u")
    await settle()
    assert events(client) == [0, 1, 2]
    statistics = room.processes[1].journals.statistics()
    assert (statistics.healed, statistics.received) == (0, 4)


async def test_publishing_needs_no_copy() -> None:
    """A process that only publishes copies nothing."""
    room = await make_room()
    await room.processes[0].publish(1)
    await settle()
    assert not room.processes[0].journals.is_open("t")
    assert room.processes[0].journals.statistics().appended == 1
    assert room.processes[0].journals.statistics().received == 0


async def test_publishing_to_a_missing_topic() -> None:
    """A topic that does not exist is not found."""
    room = Room()
    with pytest.raises(TopicNotFound):
        await room.processes[0].publish(1)
    with pytest.raises(TopicNotFound):
        await room.processes[0].journals.open("t")


async def test_a_topic_without_history() -> None:
    """A topic without history has no log."""
    room = await make_room(history=0)
    process = room.processes[0]
    for refused in (process.publish(1), process.journals.open("t"), process.journals.catch_up("t")):
        with pytest.raises(NoHistory):
            await refused
    assert process.lost == []


async def test_publishing_without_the_network() -> None:
    """Without the network a message is refused, and not counted."""
    room = await make_room()
    process = room.processes[0]
    process.relay.disconnect()
    with pytest.raises(Unavailable) as failure:
        await process.publish(1)
    assert not failure.value.unknown_fate
    assert process.broker.statistics().messages == 0


async def test_unknown_fate() -> None:
    """Whoever repeats a message whose answer was lost learns its offset, and it arrives once."""
    room = await make_room()
    client = await room.processes[1].join()
    room.processes[0].relay.unknown_fate = True
    with pytest.raises(Unavailable) as failure:
        await room.processes[0].publish(1, once=True)
    assert failure.value.unknown_fate
    again = await room.processes[0].publish(1, once=True)
    await settle()
    assert (again.duplicate, again.offset, events(client)) == (True, 2, [1])


async def test_once_across_processes() -> None:
    """A message with ``once`` is delivered once, whichever processes and letters it comes in."""
    room = await make_room()
    client = await room.processes[0].join()
    first = await room.processes[0].publish(1, once=True)
    again = await room.processes[1].publish(2, once=True, message_id=UUID.upper())
    await room.processes[1].publish(3)
    await settle()
    assert (again.duplicate, again.offset, again.subscribers) == (True, first.offset, 7)
    assert events(client) == [1, 3]
    assert room.processes[1].journals.statistics().repetitions == 1
    assert room.processes[1].broker.statistics().repetitions == 1
    assert room.processes[1].broker.statistics().messages == 1


async def test_a_log_begins_once() -> None:
    """Beginning a log again, because the answer was lost, changes nothing."""
    room = await make_room()
    await room.processes[1].journals.begin("t", EPOCH)
    assert len(room.network.logs[LOG]) == 1


# --- Opening ---


async def test_history_is_there_after_opening() -> None:
    """A process that opens a topic has the same history as all others."""
    room = await make_room()
    for n in range(3):
        await room.processes[0].publish(n)
    client = await room.processes[1].join()
    assert room.processes[1].journals.is_open("t")
    page = room.processes[1].broker.history("t", limit=10)
    assert (page.position, [frame.offset for frame in page.frames]) == ((EPOCH, 4), [2, 3, 4])
    assert events(client) == []


async def test_nothing_is_gone_while_the_birth_is_there() -> None:
    """A client that was there from the beginning recovers everything."""
    room = await make_room(history=3)
    for n in range(3):
        await room.processes[0].publish(n)
    client, subscribed = await room.processes[1].recover("t", Position(EPOCH, 0))
    assert (subscribed.recovered, events(client)) == (True, [0, 1, 2])


async def test_more_messages_than_the_history_has() -> None:
    """What does not fit into the history counts as gone, exactly."""
    room = await make_room(history=3)
    for n in range(4):
        await room.processes[0].publish(n)
    _, subscribed = await room.processes[1].recover("t", Position(EPOCH, 1))
    assert not subscribed.recovered
    client, subscribed = await room.processes[1].recover("t", Position(EPOCH, 2))
    assert (subscribed.recovered, events(client)) == (True, [1, 2, 3])
    assert room.processes[1].gaps == []


async def test_a_log_that_has_evicted_messages() -> None:
    """What the log no longer has counts as gone, though the history would have room for it."""
    room = await make_room()
    for n in range(4):
        await room.processes[0].publish(n)
    room.evict(keep=2)
    _, subscribed = await room.processes[1].recover("t", Position(EPOCH, 2))
    assert not subscribed.recovered
    client, subscribed = await room.processes[1].recover("t", Position(EPOCH, 3))
    assert (subscribed.recovered, events(client)) == (True, [2, 3])
    assert (room.processes[1].gaps, room.processes[1].lost) == ([], [])


async def test_a_log_that_has_evicted_everything_before() -> None:
    """A message that arrives while a topic is opened does not look like the first one of all."""
    room = await make_room()
    await room.processes[0].publish("evicted")
    room.evict(keep=0)
    opening = asyncio.ensure_future(room.processes[1].journals.open("t"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await room.processes[0].publish("kept")
    await opening
    assert not (await room.processes[1].recover("t", Position(EPOCH, 0)))[1].recovered
    assert (await room.processes[1].recover("t", Position(EPOCH, 2)))[1].recovered


async def test_recovery_on_another_process() -> None:
    """A client recovers on another process what it missed, without its own messages."""
    room = await make_room()
    client = await room.processes[0].join()
    await room.processes[0].publish(1)
    await settle()
    position = room.processes[0].broker.topic("t").position
    room.processes[0].broker.disconnect(client)
    await room.processes[1].publish(2)
    await room.processes[0].publish(3, publisher_id=client.id)
    await room.processes[0].publish(4)
    back, subscribed = await room.processes[1].recover("t", position, client.id)
    assert (subscribed.recovered, events(back)) == (True, [2, 4])


async def test_messages_that_arrive_while_opening() -> None:
    """What is published while a topic is opened is neither lost nor doubled."""
    room = await make_room(history=1000)

    async def publish() -> None:
        for n in range(200):
            await room.processes[0].publish(n)

    publishing = asyncio.ensure_future(publish())
    await settle(20)
    client = await room.processes[1].join(last_n=1000)
    offset = room.processes[1].broker.topic("t").history.offset  # type: ignore[union-attr]
    await publishing
    await settle()
    assert events(client) == list(range(offset - 1, 200))
    assert len(room.processes[1].broker.history("t", limit=1000).frames) == 200


async def test_all_who_open_a_topic_wait_for_one_reading() -> None:
    """A topic that several open at once is read once."""
    room = await make_room()
    journals = room.processes[1].journals
    await room.processes[0].publish(1)
    await asyncio.gather(*(journals.open("t") for _ in range(3)))
    assert journals.statistics().received == 2


async def test_one_of_those_who_open_a_topic_gives_up() -> None:
    """Others get the topic though one who waited for it was cancelled."""
    room = await make_room()
    journals = room.processes[1].journals
    first, second = (asyncio.ensure_future(journals.open("t")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert journals.is_open("t")


async def test_opening_without_the_network() -> None:
    """Without the network a topic cannot be opened; when it is back, it can."""
    room = await make_room()
    process = room.processes[1]
    process.relay.disconnect()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await process.journals.open("t")
    assert not process.journals.is_open("t")
    assert len(process.journals._partitions) == 0
    process.relay.connect()
    await process.journals.open("t")
    assert process.journals.is_open("t")


async def test_removal_while_opening() -> None:
    """A topic that is deleted while it is opened is not found."""
    room = await make_room()
    process = room.processes[1]
    opening = asyncio.ensure_future(process.journals.open("t"))
    await asyncio.sleep(0)
    process.broker.remove("t", deleted("t"))
    process.journals.on_removed("t")
    with pytest.raises(TopicNotFound):
        await opening
    assert repr(process.journals) == "<Journals, 0 copies in 0 partitions>"


async def test_an_empty_log_is_lost() -> None:
    """A log without even its birth was lost: that is reported instead of an empty topic."""
    room = await make_room()
    process = room.processes[1]
    room.network.lose_stores()
    opening = asyncio.ensure_future(process.journals.open("t"))
    await settle()
    assert (process.lost, process.journals.is_open("t")) == (["t"], False)
    process.clock.elapse(TIMEOUT)
    with pytest.raises(Unavailable):
        await opening


async def test_whoever_finds_the_log_lost_waits_for_the_next_one() -> None:
    """A topic whose log was lost is opened as soon as a new epoch has begun."""
    room = await make_room()
    process = room.processes[1]
    room.network.lose_stores()
    opening = [asyncio.ensure_future(process.journals.open("t")) for _ in range(2)]
    await settle()
    assert process.lost
    await room.begin_again("epoch002")
    await asyncio.gather(*opening)
    assert process.journals.is_open("t")


async def test_whoever_finds_the_log_lost_waits_no_longer_than_for_the_topic() -> None:
    """A topic that is deleted while a new log is waited for is not there any more."""
    room = await make_room()
    process = room.processes[1]
    room.network.lose_stores()
    opening = asyncio.ensure_future(process.journals.open("t"))
    await settle()
    process.journals.on_removed("t")
    process.broker.remove("t", deleted("t"))
    with pytest.raises(TopicNotFound):
        await opening


async def test_a_quiet_log_may_make_room_for_others() -> None:
    """Nothing is lost or refused where a topic's entries were dropped for those of others."""
    room = await make_room()
    quiet, publisher = room.processes
    client = await quiet.join()
    await publisher.publish(1)
    await settle()
    room.network.offset += 1000
    room.evict(keep=0)
    await quiet.journals.catch_up("t")
    await publisher.publish(2)
    await publisher.publish(3)
    await settle()
    assert events(client) == [1, 2, 3]
    assert (quiet.gaps, quiet.lost) == ([], [])
    assert len(quiet.broker.history("t", limit=10).frames) == 3


async def test_a_log_that_made_room_while_the_network_was_away() -> None:
    """What has become of an empty log is not known after a reconnection, and that is reported."""
    room = await make_room()
    quiet, publisher = room.processes
    client = await quiet.join()
    quiet.relay.disconnect()
    await publisher.publish("missed")
    room.evict(keep=0)
    quiet.relay.connect()
    await publisher.publish("next")
    await settle()
    assert events(client) == ["next"]
    assert quiet.gaps == [("t", 1)]


async def test_old_messages_have_expired() -> None:
    """A message expires at its age, not at that of the copy."""
    room = await make_room(history_seconds=60)
    publisher, process = room.processes
    await publisher.publish("old")
    publisher.clock.elapse(50)
    await publisher.publish("new")
    process.clock.elapse(70)
    await process.journals.open("t")
    page = process.broker.history("t", limit=10)
    assert [frame.offset for frame in page.frames] == [3]
    assert not (await process.recover("t", Position(EPOCH, 1)))[1].recovered
    assert (await process.recover("t", Position(EPOCH, 2)))[1].recovered


async def test_a_new_message_does_not_expire_by_the_clock_of_another_machine() -> None:
    """A message that has just been accepted is kept, though its publisher's clock is behind."""
    room = await make_room(history_seconds=60)
    publisher, process = room.processes
    process.clock.elapse(3600)
    await process.journals.open("t")
    await publisher.publish("new")
    await settle()
    assert len(process.broker.history("t", limit=10).frames) == 1


async def test_loading_holds_nobody_up() -> None:
    """A long log is loaded in slices, between which others have their turns."""
    room = await make_room(history=10_000)
    message = entries.encode(await room.processes[0].publish(0))
    for _ in range(5_000):
        room.network.append(LOG, message)
    opening = asyncio.ensure_future(room.processes[1].journals.open("t"))
    turns = 0
    while not opening.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10
    assert room.processes[1].broker.topic("t").history.end == 5_001  # type: ignore[union-attr]


# --- Healing ---


@pytest.mark.parametrize("drops", [1, 2, 5])
async def test_missed_entries_are_read(drops: int) -> None:
    """Entries that did not arrive are read as soon as a later one does."""
    room = await make_room()
    process = room.processes[1]
    client = await process.join()
    await room.processes[0].publish(0)
    await settle()
    process.relay.drops = drops
    for n in range(1, drops + 3):
        await room.processes[0].publish(n)
    await settle()
    assert events(client) == list(range(drops + 3))
    assert (process.journals.statistics().healed, process.gaps) == (1, [])


async def test_entries_that_arrive_while_healing() -> None:
    """What arrives while others are read follows them, and what was dropped meanwhile too."""
    room = await make_room(history=1000)
    process = room.processes[1]
    client = await process.join()
    for n in range(300):
        if n % 7 == 0:
            process.relay.drops = 1
        await room.processes[0].publish(n)
    await room.processes[0].publish(300)
    await settle()
    assert events(client)[:256] == list(range(256))  # more do not fit into the outbox
    assert process.journals.statistics().received == 302


async def test_more_entries_than_can_be_held() -> None:
    """Of the entries that arrive while others are read, those beyond the bound are read as well."""
    room = await make_room(history=10_000)
    process = room.processes[1]
    await process.journals.open("t")
    process.relay.drops = 1
    message = entries.encode(await room.processes[0].publish(0))
    for _ in range(MAX_HELD + 500):
        room.network.append(LOG, message)
    await asyncio.sleep(0)
    assert len(process.journals._copies["t"]._held) == MAX_HELD
    await settle(200)
    assert process.broker.topic("t").history.end == MAX_HELD + 501  # type: ignore[union-attr]


async def test_what_the_log_no_longer_has_is_told() -> None:
    """Subscribers hear how many messages may be missing, before the next one arrives."""
    room = await make_room()
    process = room.processes[1]
    client = await process.join()
    process.relay.drops = 3
    for n in range(5):
        await room.processes[0].publish(n)
    room.evict(keep=2)
    await settle()
    assert events(client) == [3, 4]
    assert process.gaps == [("t", 3)]
    assert process.journals.statistics().lost == 3
    assert not (await process.recover("t", Position(EPOCH, 1)))[1].recovered
    assert (await process.recover("t", Position(EPOCH, 4)))[1].recovered


async def test_reconnection() -> None:
    """What was appended while the network was out of reach arrives after the reconnection."""
    room = await make_room()
    process = room.processes[1]
    client = await process.join()
    process.relay.disconnect()
    for n in range(3):
        await room.processes[0].publish(n)
    process.relay.connect()
    await process.journals.synchronize()
    assert events(client) == [0, 1, 2]
    await room.processes[0].publish(3)
    await settle()
    assert events(client) == [3]


async def test_synchronizing_while_opening() -> None:
    """A topic that is being opened when the connection comes back is waited for."""
    room = await make_room()
    process = room.processes[1]
    opening = asyncio.ensure_future(process.journals.open("t"))
    await asyncio.sleep(0)
    await process.journals.synchronize()
    assert process.journals.is_open("t")
    await opening


async def test_synchronizing_while_a_topic_is_deleted() -> None:
    """A topic that is deleted meanwhile needs no comparison."""
    room = await make_room()
    process = room.processes[1]
    opening = asyncio.ensure_future(process.journals.open("t"))
    await asyncio.sleep(0)
    synchronizing = asyncio.ensure_future(process.journals.synchronize())
    await settle(2)
    process.broker.remove("t", deleted("t"))
    process.journals.on_removed("t")
    await synchronizing
    with pytest.raises(TopicNotFound):
        await opening


async def test_synchronizing_without_the_network() -> None:
    """Without the network, the copies cannot be compared with their logs."""
    room = await make_room()
    process = room.processes[1]
    await process.join()
    process.relay.disconnect()
    with pytest.raises(Unavailable):
        await process.journals.synchronize()
    assert process.journals.is_open("t")


async def test_reading_is_tried_again() -> None:
    """A copy with subscribers that cannot read what is missing tries again after a while."""
    room = await make_room()
    process = room.processes[1]
    client = await process.join()
    process.relay.drops = 1
    await room.processes[0].publish(0)
    await room.processes[0].publish(1)
    process.relay.disconnect()  # the second message is on its way
    await settle()
    assert events(client) == []
    process.clock.elapse(0.5)
    await settle()
    process.relay.connect()
    process.clock.elapse(0.5)
    await room.processes[0].publish(2)
    await settle()
    assert events(client) == []
    process.clock.elapse(0.5)
    await settle()
    assert events(client) == [0, 1, 2]


async def test_a_copy_without_subscribers_is_dropped_instead() -> None:
    """A copy without subscribers that cannot be read is opened again when it is needed."""
    room = await make_room()
    process = room.processes[1]
    await process.journals.open("t")
    process.relay.drops = 1
    await room.processes[0].publish(0)
    await room.processes[0].publish(1)
    process.relay.disconnect()
    await settle()
    assert not process.journals.is_open("t")
    process.relay.connect()
    await process.journals.open("t")
    assert len(process.broker.history("t", limit=10).frames) == 2


async def test_a_log_that_does_not_answer_with_everything() -> None:
    """A read that misses entries which are known to exist is repeated later."""
    room = await make_room()
    process = room.processes[1]
    client = await process.join()
    await room.processes[0].publish(0)
    room.network.append(LOG, entries.encode(await room.processes[0].publish(1)))
    log, newest = room.network.logs[LOG], room.network.logs[LOG][-1]
    process.journals._on_entry(LOG, newest._replace(offset=newest.offset + 5), newest.offset + 4)
    await settle()
    assert events(client) == [0, 1, 1]
    assert process.journals.statistics().filling == 0
    log.append(newest._replace(offset=newest.offset + 5))
    process.clock.elapse(0.5)
    await settle()
    assert (events(client), process.gaps) == ([1], [])


async def test_many_entries_at_once_hold_nobody_up() -> None:
    """Of many entries that arrive in one turn of the event loop, some wait for the next ones."""
    room = await make_room(history=10_000)
    process = room.processes[1]
    await process.journals.open("t")
    history = process.broker.topic("t").history
    message = entries.encode(await room.processes[0].publish(0))
    await settle()
    for _ in range(MAX_HELD):
        room.network.append(LOG, message)
    for _ in range(2):
        await asyncio.sleep(0)
        assert 1 < len(history) < MAX_HELD  # type: ignore[arg-type]
    await settle()
    assert len(history) == MAX_HELD + 1  # type: ignore[arg-type]
    room.network.append(LOG, message)
    await asyncio.sleep(0)
    assert len(history) == MAX_HELD + 2  # type: ignore[arg-type]
    assert process.journals.statistics().healed == 0


async def test_a_fault_of_a_copy_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A fault of our own is logged, and whoever waits learns that there is no copy."""
    room = await make_room()
    room.network.logs[LOG][0] = None  # type: ignore[call-overload]
    with pytest.raises(Unavailable):
        await room.processes[1].journals.open("t")
    assert "the copy of topic 't' failed" in caplog.text


async def test_entries_of_another_version() -> None:
    """An entry that is not understood is reported as a loss, and is no longer recovered."""
    room = await make_room()
    process = room.processes[1]
    client = await process.join()
    room.network.append(LOG, b"?")
    await room.processes[0].publish(1)
    await settle()
    assert (events(client), process.gaps) == ([1], [("t", 1)])
    assert process.journals.statistics().unreadable == 1
    assert not (await process.recover("t", Position(EPOCH, 1)))[1].recovered


# --- Catching up ---


async def test_catching_up() -> None:
    """A copy that does not know yet that it has missed something catches up."""
    room = await make_room()
    process = room.processes[1]
    client = await process.join()
    process.relay.drops = 2
    await room.processes[0].publish(0)
    await room.processes[0].publish(1)
    await settle()
    assert events(client) == []
    await process.journals.catch_up("t")
    assert events(client) == [0, 1]
    await process.journals.catch_up("t")
    assert process.journals.statistics().healed == 1


async def test_catching_up_opens_a_topic() -> None:
    """A topic that is not open is opened, and one that is being opened caught up with."""
    room = await make_room()
    journals = room.processes[1].journals
    await room.processes[0].publish(0)
    await asyncio.gather(journals.catch_up("t"), journals.catch_up("t"))
    assert len(room.processes[1].broker.history("t", limit=10).frames) == 1


async def test_catching_up_while_the_topic_is_deleted() -> None:
    """Whoever catches up with a topic that is deleted meanwhile learns that."""
    room = await make_room()
    process = room.processes[1]
    await process.journals.open("t")
    catching_up = asyncio.ensure_future(process.journals.catch_up("t"))
    await asyncio.sleep(0)
    process.broker.remove("t", deleted("t"))
    process.journals.on_removed("t")
    with pytest.raises(TopicNotFound):
        await catching_up


# --- New epochs ---


async def test_a_log_that_was_lost_begins_again() -> None:
    """When a log was lost, subscribers go on with the new epoch from its beginning."""
    room = await make_room()
    clients = [await process.join() for process in room.processes]
    for _ in range(5):
        await room.processes[0].publish(0)
    await settle()
    for process in room.processes:
        process.relay.disconnect()
    room.network.lose_stores()
    for process in room.processes:
        process.relay.connect()
        await process.journals.synchronize()
        assert process.lost == ["t"]
        assert not process.journals.is_open("t")
        with pytest.raises(Unavailable):
            await process.publish("refused")
    await room.begin_again("epoch002")
    await room.processes[0].publish(1)
    await settle()
    assert [events(client) for client in clients] == [[0, 0, 0, 0, 0, "info", 1]] * 2
    for process in room.processes:
        assert process.journals.is_open("t")
        assert process.broker.topic("t").position == ("epoch002", 2)
        assert process.gaps == []


async def test_messages_of_a_new_epoch_before_it_is_known() -> None:
    """A process that learns of a new epoch late has all its messages nevertheless."""
    room = await make_room()
    first, late = room.processes
    client = await late.join()
    await first.journals.begin("t", "epoch002")
    first.broker.begin_again("t", "epoch002", deleted("t"))
    first.journals.on_begun_again("t")
    for n in range(20):
        await first.publish(n)
    late.broker.begin_again("t", "epoch002", deleted("t"))
    late.journals.on_begun_again("t")
    await first.publish(20)
    await settle()
    assert events(client) == ["info", *range(21)]


async def test_a_new_epoch_while_opening() -> None:
    """Whoever opens a topic gets its new epoch, if it begins meanwhile."""
    room = await make_room()
    await room.processes[0].publish("old")
    opening = asyncio.ensure_future(room.processes[1].journals.open("t"))
    await asyncio.sleep(0)
    await room.begin_again("epoch002")
    await opening
    assert room.processes[1].broker.topic("t").position == ("epoch002", 0)


async def test_a_log_that_is_there_again() -> None:
    """A topic goes on if its log, which was reported as lost, turns out to be there."""
    room = await make_room()
    process = room.processes[0]
    client = await process.join()
    log = room.network.logs.pop(LOG)
    await process.journals.synchronize()
    room.network.logs[LOG] = log
    await process.journals.synchronize()
    await process.publish(1)
    await settle()
    assert events(client) == [1]


async def test_a_log_may_be_lost_again() -> None:
    """A topic whose log is still lost after a further reconnection is reported again."""
    room = await make_room()
    process = room.processes[0]
    await process.join()
    room.network.lose_stores()
    for _ in range(2):
        process.relay.disconnect()
        process.relay.connect()
        await process.journals.synchronize()
    assert process.lost == ["t", "t"]


async def test_a_publication_to_a_log_that_is_replaced_is_not_confirmed() -> None:
    """A message that went into a log while another one began has an unknown fate."""
    room = await make_room()
    process = room.processes[0]
    await process.join()
    publishing = asyncio.ensure_future(process.publish(1))
    await asyncio.sleep(0)
    process.broker.begin_again("t", "epoch002", deleted("t"))
    process.journals.on_begun_again("t")
    with pytest.raises(Unavailable) as error:
        await publishing
    assert error.value.unknown_fate


async def test_a_loss_is_reported_until_there_is_a_new_log() -> None:
    """While a topic with subscribers has no new epoch, that it needs one is reported again."""
    room = await make_room()
    process = room.processes[0]
    client = await process.join()
    await process.publish(0)
    await settle()
    room.network.lose_stores()
    with pytest.raises(Unavailable):
        await process.publish(1)
    for reports in (1, 2, 3):
        assert process.lost == ["t"] * reports
        process.clock.elapse(LAST_RETRY)
        await settle()
    await room.begin_again("epoch002")
    await settle()
    process.clock.elapse(LAST_RETRY)
    await settle()
    assert process.lost == ["t"] * 4
    assert events(client) == [0, "info"]


async def test_a_copy_of_a_new_epoch_is_read_again() -> None:
    """A new epoch that cannot be read at once is read when the network is back."""
    room = await make_room()
    process = room.processes[1]
    client = await process.join()
    process.relay.disconnect()
    await room.begin_again("epoch002")
    await room.processes[0].publish(1)
    await settle()
    assert not process.journals.is_open("t")
    process.relay.connect()
    await process.journals.synchronize()
    assert events(client) == ["info", 1]


async def test_a_publication_notices_that_the_log_was_lost() -> None:
    """A message whose offset is not above all before went into a log that was lost."""
    room = await make_room()
    process = room.processes[0]
    await process.join()
    await process.publish(0)
    await settle()
    room.network.lose_stores()
    with pytest.raises(Unavailable) as failure:
        await process.publish(1)
    assert (failure.value.unknown_fate, process.lost) == (True, ["t"])


# --- Closing ---


async def test_an_unused_copy_is_dropped() -> None:
    """A copy without subscribers for a minute is dropped, and opened again when needed."""
    room = await make_room()
    process = room.processes[1]
    client = await process.join()
    await room.processes[0].publish(0)
    await settle()
    process.clock.elapse(UNUSED_SECONDS)
    process.journals.close_unused()
    process.broker.unsubscribe(client, "t")
    process.clock.elapse(UNUSED_SECONDS - 1)
    process.journals.close_unused()
    assert process.journals.is_open("t")
    process.clock.elapse(1)
    process.journals.close_unused()
    assert not process.journals.is_open("t")
    assert process.broker.statistics().history_bytes == 0
    assert process.relay._follows == {}
    await room.processes[0].publish(1)
    client, subscribed = await process.recover("t", Position(EPOCH, 1))
    assert (subscribed.recovered, events(client)) == (True, [0, 1])


async def test_a_copy_that_is_read_is_used() -> None:
    """A copy whose history is read now and then is kept."""
    room = await make_room()
    process = room.processes[1]
    for _ in range(2):
        await process.journals.open("t")
        process.clock.elapse(UNUSED_SECONDS - 1)
    process.journals.close_unused()
    assert process.journals.is_open("t")


async def test_copies_are_dropped_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the events of dropped copies reach a bound, other copies wait for the next call."""
    monkeypatch.setattr("pubsub.cluster.journals.collection.DROPPED_AT_ONCE", 1)
    room = await make_room()
    await room.create("u")
    process = room.processes[1]
    for name in ("t", "u"):
        await process.publish(1, name)
        await process.journals.open(name)
    process.clock.elapse(UNUSED_SECONDS)
    for left in (1, 0):
        process.journals.close_unused()
        assert process.journals.statistics().open == left


async def test_a_partition_is_followed_though_one_of_its_topics_is_deleted() -> None:
    """Of two topics of one partition that are being opened, one may be deleted."""
    other = next(name for name in map(str, range(9999)) if partition_of(name) == partition_of("t"))
    room = await make_room()
    await room.create(other)
    process = room.processes[1]
    opening = [asyncio.ensure_future(process.journals.open(name)) for name in ("t", other)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    process.broker.remove("t", deleted("t"))
    process.journals.on_removed("t")
    with pytest.raises(TopicNotFound):
        await opening[0]
    await opening[1]
    assert process.journals.is_open(other)


async def test_a_partition_is_followed_as_long_as_a_copy_needs_it() -> None:
    """Two topics of one partition are followed together, until neither is needed."""
    room = Room()
    other = next(name for name in map(str, range(9999)) if partition_of(name) == partition_of("t"))
    await room.create(other)
    await room.create()
    process = room.processes[1]
    await process.journals.open("t")
    await process.journals.open(other)
    for name, followed in (("t", 1), (other, 0)):
        process.broker.remove(name, deleted(name))
        process.journals.on_removed(name)
        assert len(process.relay._follows) == followed


async def test_close() -> None:
    """A process that stops follows nothing any more, and leaves no task waiting."""
    room = await make_room()
    process = room.processes[1]
    await process.join()
    await room.create("u")
    opening = asyncio.ensure_future(process.journals.open("u"))
    await asyncio.sleep(0)
    process.journals.close()
    with pytest.raises(Unavailable):
        await opening
    assert process.relay._follows == {}
    assert process.journals.statistics().open == process.journals.statistics().filling == 0


async def test_repr() -> None:
    """The repr of a copy shows its log and how far it is."""
    room = await make_room()
    await room.processes[0].journals.open("t")
    copy = room.processes[0].journals._copies["t"]
    assert repr(copy) == f"<Copy of {LOG}, following after 1>"
    assert repr(room.processes[0].journals) == "<Journals, 1 copies in 1 partitions>"
    assert repr(room.processes[0].journals._partitions) == "<Partitions, 1 followed>"
