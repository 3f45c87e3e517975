"""Publications of topics without history, between processes: order, copies, and losses."""

import asyncio

import pytest

from pubsub.cluster.channels.batches import Batch, Item, decode_batch, encode_batch
from pubsub.cluster.channels.incoming import COMPLAIN_EVERY
from pubsub.cluster.messenger.messenger import Messenger
from pubsub.cluster.names import channel_of, partition_of
from pubsub.cluster.peers.peers import Peers
from pubsub.core.options import TopicOptions
from pubsub.core.publication import Frame
from pubsub.relay.errors import Unavailable
from pubsub.turns import Turns
from tests.cluster.channel_room import (
    Process,
    Room,
    of_one_partition,
    small_log,
    told,
    turns,
)
from tests.core.support import read


async def two(*topics: str, **options: object) -> tuple[Room, Process, Process]:
    """Return a room of two processes that have heard of each other."""
    room = Room(*topics)
    one, other = await room.start(), await room.start(**options)
    room.beat()
    return room, one, other


# --- Delivery ---


async def test_order_of_each_process() -> None:
    """Publications arrive elsewhere in the order in which their process accepted them."""
    _, one, other = await two()
    client = await other.join("t")
    one.publish("t", "1", "2")
    await turns()
    await one.publish_each("t", "3", "4")
    assert told(client) == ["1", "2", "3", "4"]


async def test_no_echo_and_no_second_copy() -> None:
    """A publication comes back neither to its publisher nor to others of its process."""
    _, one, other = await two()
    publisher, neighbour = await one.join("t"), await one.join("t")
    reader = await other.join("t")
    one.publish("t", "1", publisher=publisher)
    await turns()
    assert (told(publisher), told(neighbour), told(reader)) == ([], ["1"], ["1"])


async def test_only_subscribers_of_the_topic() -> None:
    """A process receives other topics of the partition, and delivers them to no client."""
    first, second = of_one_partition(2)
    _, one, other = await two(first, second)
    client = await other.join(first)
    one.publish(second, "1")
    one.publish(first, "2")
    await turns()
    assert told(client) == ["2"]
    assert other.channels.statistics().received == 2


async def test_nothing_of_unwanted_partitions() -> None:
    """A process does not receive what none of its clients is subscribed to."""
    _, one, other = await two()
    one.publish("t", "1")
    await turns()
    assert other.channels.statistics().received == 0
    assert one.channels.statistics().sent == 1


async def test_no_copy_for_a_client_that_publishes_elsewhere() -> None:
    """A client gets no copy of what it has published through another process."""
    _, one, other = await two()
    client, neighbour = await other.join("t"), await other.join("t")
    publication = one.broker.publish("t", "id", "1")
    publication.publisher_id = client.id
    await turns()
    assert (told(client), told(neighbour)) == ([], ["1"])


async def test_one_message_for_a_tick() -> None:
    """What a process accepts in one tick leaves as one message for each partition."""
    _, one, other = await two("t", "other")
    messages: list[bytes] = []
    await other.relay.subscribe(channel_of(partition_of("t")), messages.append)
    one.publish("t", "1", "2", "3")
    one.publish("other", "4")
    await turns()
    assert [[item.event for item in decode_batch(data).items] for data in messages] == [
        [b"1", b"2", b"3"]
    ]


async def test_large_messages_are_split() -> None:
    """What is too much for one message leaves in several, in order."""
    _, one, other = await two()
    one.relay.max_bytes = 1_000
    client = await other.join("t")
    payloads = [letter * 400 for letter in "abcde"]
    one.publish("t", *payloads)
    await turns()
    assert told(client) == payloads


async def test_malformed_message(caplog: pytest.LogCaptureFixture) -> None:
    """A message that cannot be decoded is ignored, and logged once in a minute."""
    room, one, other = await two()
    client = await other.join("t")
    for seconds in (0.0, 0.0, COMPLAIN_EVERY):
        await room.time.pass_by(seconds)
        one.relay.publish(channel_of(partition_of("t")), b"\xc1")
        await turns()
    one.publish("t", "1")
    await turns()
    assert told(client) == ["1"]
    assert len(caplog.records) == 2


async def test_topic_that_exists_elsewhere_only() -> None:
    """A publication to a topic that does not exist here yet is no fault."""
    first, second = of_one_partition(2)
    _, one, other = await two(first)
    one.broker.install(second, TopicOptions(), "e")
    client = await other.join(first)
    one.publish(second, "1")
    one.publish(first, "2")
    await turns()
    assert told(client) == ["2"]


async def test_position_counts_what_is_pending() -> None:
    """Positions include what was accepted in this tick, which leaves before them."""
    _, one, _ = await two()
    number = partition_of("t")
    one.publish("t", "1")
    assert one.channels.position(number) == 1
    one.publish("t", "2")
    assert one.channels.positions() == {number: 2}
    assert one.channels.count(number, 1, 2) == {"t": 2}


# --- Losses ---


async def test_exact_loss_before_the_next_event() -> None:
    """The exact number of lost events comes before the next event of the process."""
    _, one, other = await two()
    client = await other.join("t")
    await one.publish_each("t", "1")
    other.relay.drops = 2
    await one.publish_each("t", "2", "3", "4", "5")
    assert told(client) == ["1", "t lost 2", "4", "5"]
    statistics = other.channels.statistics()
    assert (statistics.gaps, statistics.lost, statistics.lost_at_most) == (1, 2, 0)


async def test_loss_is_told_by_topic() -> None:
    """Subscribers are notified of what their own topics have lost only."""
    topics = of_one_partition(3)
    _, one, other = await two(*topics)
    clients = [await other.join(topic) for topic in topics]
    await one.publish_each(topics[0], "1")
    other.relay.drops = 3
    await one.publish_each(topics[0], "2")
    await one.publish_each(topics[1], "3", "4")
    await one.publish_each(topics[0], "5")
    assert [told(client) for client in clients] == [
        ["1", f"{topics[0]} lost 1", "5"],
        [f"{topics[1]} lost 2"],
        [],
    ]


async def test_loss_of_the_last_events() -> None:
    """What was lost last is found by the positions in the next heartbeats."""
    room, one, other = await two()
    client = await other.join("t")
    room.beat()
    other.relay.drops = 2
    await one.publish_each("t", "1", "2")
    assert told(client) == []
    await room.pass_by(2)
    assert told(client) == ["t lost 2"]
    await one.publish_each("t", "3")
    await room.pass_by(3)
    assert told(client) == ["3"]


async def test_messages_in_flight_are_not_lost() -> None:
    """A heartbeat may overtake the messages that it counts."""
    room, one, other = await two()
    client = await other.join("t")
    room.beat()
    one.publish("t", "1")
    room.beat()
    await room.time.pass_by(0.5)
    await turns()
    await room.pass_by(3)
    assert told(client) == ["1"]
    assert other.channels.statistics().gaps == 0


async def test_stopped_event_loop_is_no_loss() -> None:
    """After the event loop stood still, messages that arrived meanwhile come before timers."""
    room, one, other = await two()
    client = await other.join("t")
    room.beat()
    other.relay.drops = 1
    await one.publish_each("t", "1")
    room.beat()
    room.time.jump(5)
    await room.time.pass_by(0.1)
    assert told(client) == []
    await room.time.pass_by(1)
    assert told(client) == ["t lost 1"]


async def test_events_of_other_processes_do_not_wait() -> None:
    """A loss of one process holds back nothing of another one."""
    room, one, other = await two()
    third = await room.start()
    client = await other.join("t")
    await one.publish_each("t", "1")
    held = asyncio.Event()

    async def ask(*question: object) -> dict[str, int]:
        await held.wait()
        return {"t": 1}

    other.channels._incoming.losses._ask = ask
    other.relay.drops = 1
    await one.publish_each("t", "2", "3")
    await third.publish_each("t", "x")
    assert told(client) == ["1", "x"]
    held.set()
    await turns()
    assert told(client) == ["t lost 1", "3"]


async def test_several_losses_at_once() -> None:
    """Losses among the messages that are held back are reported in their places."""
    _, one, other = await two()
    client = await other.join("t")
    one.publish("t", "1")
    await turns()
    for payload, drops in (("2", 1), ("3", 0), ("4", 1), ("5", 0)):
        other.relay.drops = drops
        one.publish("t", payload)
        await asyncio.sleep(0)
    await turns()
    assert told(client) == ["1", "t lost 1", "3", "t lost 1", "5"]


async def test_young_subscription_gets_a_bound() -> None:
    """A client that subscribed while events were being lost may have missed fewer of them."""
    _, one, other = await two()
    old = await other.join("t")
    await one.publish_each("t", "1")
    other.relay.drops = 2
    await one.publish_each("t", "2")
    young = await other.join("t")
    await one.publish_each("t", "3", "4")
    assert told(old) == ["1", "t lost 2", "4"]
    assert told(young) == ["t lost at most 2", "4"]


async def test_heartbeat_makes_a_subscription_old() -> None:
    """After a heartbeat that shows that nothing is missing, the next loss is exact."""
    room, one, other = await two()
    client = await other.join("t")
    room.beat()
    other.relay.drops = 1
    await one.publish_each("t", "1", "2")
    assert told(client) == ["t lost 1", "2"]


async def test_sender_that_has_forgotten() -> None:
    """If the process does not know what was lost, the size of the gap is a bound for each topic."""
    topics = of_one_partition(2)
    room = Room(*topics)
    one, other = await room.start(log=small_log(2)), await room.start()
    room.beat()
    clients = [await other.join(topic) for topic in topics]
    await one.publish_each(topics[0], "1")
    other.relay.drops = 3
    await one.publish_each(topics[0], "2", "3", "4", "5")
    assert told(clients[0]) == ["1", f"{topics[0]} lost at most 3", "5"]
    assert told(clients[1]) == [f"{topics[1]} lost at most 3"]
    assert other.channels.statistics().lost_at_most == 3


async def test_sender_that_does_not_answer() -> None:
    """Without an answer the size of the gap is a bound, and events go on."""
    _, one, other = await two()
    client = await other.join("t")
    await one.publish_each("t", "1")
    other.relay.drops = 1
    one.answers = False
    await one.publish_each("t", "2", "3")
    assert told(client) == ["1", "t lost at most 1", "3"]


async def test_too_much_is_held_back() -> None:
    """Messages beyond the bound of those that wait are lost, too, and reported."""
    _, one, other = await two(max_held_bytes=600)
    client = await other.join("t")
    one.publish("t", "1")
    await turns()
    other.relay.drops = 1
    for payload in ("2", "3" * 400, "4" * 400, "5"):
        one.publish("t", payload)
        await asyncio.sleep(0)
    await turns()
    seen = told(client)
    assert seen[:3] == ["1", "t lost 1", "3" * 400]
    await other.room.pass_by(3)
    seen += told(client)
    assert seen[3:] == ["t lost 1", "5"]


async def test_end_of_what_is_held_back_is_lost() -> None:
    """If nothing follows the messages beyond the bound, their loss is reported nevertheless."""
    room, one, other = await two(max_held_bytes=10)
    client = await other.join("t")
    room.beat()
    other.relay.drops = 1
    await one.publish_each("t", "1", "2" * 400)
    assert told(client) == ["t lost 1"]
    await room.time.pass_by(1)
    assert told(client) == ["t lost 1"]


async def test_slow_client_is_told_in_the_end() -> None:
    """A client with a full outbox gets both losses when there is room, each by its cause."""
    _, one, other = await two(config={"queue_size": 2})
    client = await other.join("t")
    await one.publish_each("t", "1", "2")
    other.relay.drops = 3
    await one.publish_each("t", "3", "4", "5", "6")
    assert read(client) == ["1", "2", "t gap 3", "t lost 1"]


async def test_late_message_is_not_delivered() -> None:
    """A message that arrives after it was reported as lost is not delivered any more."""
    room, one, other = await two()
    client = await other.join("t")
    room.beat()
    other.relay.drops = 1
    one.publish("t", "1")
    await turns()
    room.beat()
    await room.time.pass_by(1)
    channel = channel_of(partition_of("t"))
    late = Batch(one.id, 1, [Item("t", None, None, b"1"), Item("t", None, None, b"2")])
    other.relay.receive(channel, encode_batch(late))
    await turns()
    other.relay.receive(channel, encode_batch(late))
    await turns()
    assert told(client) == ["t lost 1", "2"]


async def test_loss_after_a_loss_is_exact() -> None:
    """A client that may have missed a part of one loss has missed all of the next one."""
    room, one, other = await two()
    await other.join("t")
    room.beat()
    other.relay.drops = 1
    await one.publish_each("t", "1")
    young = await other.join("t")
    room.beat()
    await room.time.pass_by(1)
    other.relay.drops = 1
    await one.publish_each("t", "2", "3")
    assert told(young) == ["t lost at most 1", "t lost 1", "3"]


async def test_topic_with_history_is_not_told() -> None:
    """A topic that was created again with history has not lost anything."""
    first, second = of_one_partition(2)
    _, one, other = await two(first, second)
    await other.join(first)
    await one.publish_each(first, "1")
    other.broker.remove(second, Frame(b"gone"))
    other.broker.install(second, TopicOptions(history=10), "e")
    client = await other.join(second)
    other.relay.drops = 1
    await one.publish_each(second, "2")
    await one.publish_each(first, "3")
    assert told(client) == []


async def test_messages_before_the_answer_about_positions() -> None:
    """What arrives before a process has said where it is does not make the rest a loss."""
    room, one, other = await two()
    incoming, number = other.channels._incoming, partition_of("t")
    incoming.open(number)
    item = Item("t", None, None, b"x")
    incoming.receive(number, encode_batch(Batch(one.id, 3, [item])))
    incoming.begin(number, {one.id: 5})
    incoming.receive(number, encode_batch(Batch(one.id, 6, [item])))
    await room.time.pass_by(2)
    assert other.channels.statistics().gaps == 0


async def test_own_message_is_ignored() -> None:
    """Should a message of its own come back to a process, nothing is delivered twice."""
    _, _, other = await two()
    client = await other.join("t")
    own = Batch(other.id, 1, [Item("t", None, None, b"1")])
    other.relay.receive(channel_of(partition_of("t")), encode_batch(own))
    await turns()
    assert told(client) == []


async def test_too_large_for_the_relay() -> None:
    """A publication that no message can carry is not sent, and is reported like any other loss."""
    room, one, other = await two()
    client = await other.join("t")
    room.beat()
    one.relay.max_bytes = 500
    await one.publish_each("t", "1" * 600, "2")
    assert told(client) == ["t lost 1", "2"]
    assert (one.channels.statistics().unsent, one.channels.statistics().sent) == (1, 1)


async def test_slow_answer_is_awaited_once() -> None:
    """While a process is asked, a heartbeat makes no second question."""
    room, one, other = await two()
    client = await other.join("t")
    room.beat()
    answered = asyncio.Event()
    asked: list[object] = []

    async def ask(*question: object) -> dict[str, int]:
        asked.append(question)
        await answered.wait()
        return {"t": 1}

    other.channels._incoming.losses._ask = ask
    other.relay.drops = 1
    await one.publish_each("t", "1")
    room.beat()
    await one.publish_each("t", "2")
    await room.time.pass_by(1.5)
    room.beat()
    await room.time.pass_by(1.5)
    answered.set()
    await turns()
    assert told(client) == ["t lost 1", "2"]
    assert len(asked) == 1


# --- Processes and connections ---


async def test_reconnection_of_the_receiver() -> None:
    """A loss without a connection is reported when it is back, without further events."""
    room, one, other = await two()
    client = await other.join("t")
    await one.publish_each("t", "1")
    other.relay.disconnect()
    await one.publish_each("t", "2", "3")
    await room.pass_by(30)
    other.relay.connect()
    await turns()
    await room.pass_by(3)
    assert told(client) == ["1", "t lost 2"]


async def test_reconnection_of_the_sender() -> None:
    """What a process accepted without a connection is reported to the subscribers of others."""
    room, one, other = await two()
    client = await other.join("t")
    await one.publish_each("t", "1")
    one.relay.disconnect()
    await one.publish_each("t", "2", "3")
    assert one.channels.statistics().unsent == 2
    await room.pass_by(30)
    assert told(client) == ["1"]
    one.relay.connect()
    await turns()
    await one.publish_each("t", "4")
    assert told(client) == ["t lost 2", "4"]


async def test_silent_process_comes_back() -> None:
    """A process that was taken for dead continues where it was, and its losses are reported."""
    room, one, other = await two()
    client = await other.join("t")
    await one.publish_each("t", "1")
    one.relay.disconnect()
    await one.publish_each("t", "2", "3")
    other.channels.forget(one.id)
    one.relay.connect()
    await turns()
    await room.pass_by(3)
    assert told(client) == ["1", "t lost 2"]


async def test_process_that_is_gone() -> None:
    """What is missing from a process that has left is reported as a bound, at once."""
    room, one, other = await two()
    client = await other.join("t")
    room.beat()
    other.relay.drops = 2
    await one.publish_each("t", "1", "2")
    room.beat()
    one.alive = False
    other.channels.forget(one.id)
    assert told(client) == ["t lost at most 2"]
    other.channels.forget(one.id)
    await room.pass_by(3)
    assert told(client) == []


async def test_losses_of_a_process_that_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process could not send just before it stopped is reported with its last heartbeat."""
    room, one, other = await two()
    client = await other.join("t")
    peers = {}
    for process in (one, other):
        messenger = Messenger(process.id, process.relay, call_later=room.time.call_later)
        await messenger.start()
        peers[process] = Peers(
            process.id,
            process.relay,
            messenger,
            process.broker,
            turns=Turns(),
            positions=process.channels.positions,
            on_positions=lambda who, positions, uptime, process=process: (
                process.channels.on_positions(who, positions, uptime=uptime)
            ),
            on_gone=process.channels.forget,
            clock=room.time,
            call_later=room.time.call_later,
        )
        await peers[process].start()
    await one.publish_each("t", "1")
    await room.time.pass_by(2)
    monkeypatch.setattr(one.relay, "publish", lambda channel, data: False)  # its buffer is full
    await one.publish_each("t", "2", "3")
    monkeypatch.undo()
    peers[one].stop()
    await turns()
    assert told(client) == ["1", "t lost at most 2"]
    peers[other].stop()


async def test_process_leaves_while_it_is_asked() -> None:
    """What was held back behind a loss is delivered when its process is gone."""
    _, one, other = await two()
    client = await other.join("t")
    await one.publish_each("t", "1")

    async def ask(*question: object) -> None:
        await asyncio.Event().wait()

    other.channels._incoming.losses._ask = ask
    other.relay.drops = 1
    await one.publish_each("t", "2", "3")
    other.relay.drops = 1
    await one.publish_each("t", "4", "5")
    assert told(client) == ["1"]
    other.channels.forget(one.id)
    assert told(client) == ["t lost at most 1", "3", "t lost at most 1", "5"]


async def test_connection_lost_while_a_process_is_asked() -> None:
    """A question that a lost connection prevented is asked again when it is back."""
    room, one, other = await two()
    client = await other.join("t")
    await one.publish_each("t", "1")
    other.relay.drops = 1
    one.publish("t", "2")
    await asyncio.sleep(0)
    one.publish("t", "3")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    other.relay.disconnect()
    await turns()
    assert told(client) == ["1"]
    other.channels.forget(one.id)
    assert told(client) == []
    other.relay.connect()
    await turns()
    await room.pass_by(2)
    assert told(client) == ["t lost 1", "3"]


async def test_restarted_process() -> None:
    """A process with a new id begins anew, and nothing of it is taken for lost."""
    room, one, other = await two()
    client = await other.join("t")
    await one.publish_each("t", "1", "2")
    one.alive = False
    await one.relay.stop()
    other.channels.forget(one.id)
    again = await room.start()
    await again.publish_each("t", "3")
    await room.pass_by(3)
    assert told(client) == ["1", "2", "3"]
    assert other.channels.statistics().gaps == 0


async def test_first_events_of_a_new_process() -> None:
    """A process that started after the subscription misses nothing unnoticed, from its first."""
    room, _, other = await two()
    client = await other.join("t")
    await room.pass_by(5)
    third = await room.start()
    other.channels._incoming._heard.pop(third.id, None)
    for streams in other.channels._incoming._streams.values():
        streams.pop(third.id, None)
    other.relay.drops = 2
    await third.publish_each("t", "1", "2")
    await room.pass_by(3)
    assert told(client) == ["t lost 2"]


async def test_past_of_an_old_process_is_not_lost() -> None:
    """What a process had accepted before the subscription is no loss."""
    room = Room()
    one = await room.start()
    await one.publish_each("t", "1", "2", "3")
    other = await room.start()
    client = await other.join("t")
    await room.pass_by(3)
    await one.publish_each("t", "4")
    assert told(client) == ["4"]
    assert other.channels.statistics().gaps == 0


async def test_process_that_is_cut_off_at_the_subscription() -> None:
    """What a process accepts after a subscription that it cannot know of is reported."""
    room, one, other = await two()
    await one.publish_each("t", "1")
    room.beat()
    one.relay.disconnect()
    client = await other.join("t")
    await one.publish_each("t", "2", "3")
    one.relay.connect()
    await turns()
    await room.pass_by(2)
    assert told(client) == ["t lost at most 2"]


async def test_process_that_started_while_another_was_cut_off() -> None:
    """Nor is it lost unnoticed where the process that was cut off was never heard of."""
    room = Room()
    one = await room.start()
    await one.publish_each("t", "1")
    one.relay.disconnect()
    other = await room.start()
    client = await other.join("t")
    await one.publish_each("t", "2", "3")
    one.relay.connect()
    await turns()
    await room.pass_by(2)
    assert told(client) == ["t lost at most 2"]


async def test_unknown_process_begins_with_its_first_message() -> None:
    """Of a process that was never heard of, what came before its first message is no loss."""
    room = Room()
    one = await room.start()
    await one.publish_each("t", "1", "2")
    one.answers = False
    other = await room.start()
    client = await other.join("t")
    await one.publish_each("t", "3")
    other.relay.drops = 1
    await one.publish_each("t", "4", "5")
    assert told(client) == ["3", "t lost at most 1", "5"]


async def test_unknown_process_begins_with_its_first_heartbeat() -> None:
    """Of an old process that was never heard of, what came before its heartbeat is no loss."""
    room = Room()
    one = await room.start()
    await one.publish_each("t", "1", "2")
    await room.pass_by(5)
    one.answers = False
    other = await room.start()
    client = await other.join("t")
    one.answers = True
    await room.pass_by(3)
    assert told(client) == []


async def test_process_that_came_back_is_not_forgotten() -> None:
    """Positions are forgotten an hour after a process has left, unless it came back."""
    room, one, other = await two()
    third = await room.start()
    client = await other.join("t")
    await one.publish_each("t", "1")
    other.channels.forget(one.id)
    room.beat()
    await room.time.pass_by(4000)
    other.channels.forget(third.id)
    other.relay.drops = 1
    await one.publish_each("t", "2", "3")
    assert told(client) == ["1", "t lost 1", "3"]


async def test_process_is_forgotten_in_the_end() -> None:
    """Nothing is remembered of a process that left more than an hour ago."""
    room, one, other = await two()
    third = await room.start()
    await other.join("t")
    other.channels.forget(one.id)
    await room.time.pass_by(4000)
    other.channels.forget(third.id)
    incoming = other.channels._incoming
    assert one.id not in incoming._heard
    assert one.id not in incoming._streams[partition_of("t")]
    assert third.id in incoming._heard


# --- What is wanted ---


async def test_want_takes_effect() -> None:
    """A topic is wanted when `want` has returned, and no other of its partition needs a wait."""
    first, second = of_one_partition(2)
    _, _, other = await two(first, second)
    assert not other.channels.is_wanted(first)
    assert await other.channels.want(first)
    assert other.channels.is_wanted(first)
    assert not other.channels.is_wanted(second)
    assert await other.channels.want(second)
    assert other.channels.is_wanted(second)


async def test_want_that_fails() -> None:
    """A topic was asked for when `want` has ended, even if it is still not received."""
    _, _, other = await two()

    async def refuse(channel: str, on_message: object) -> None:
        raise Unavailable("refused")

    other.relay.subscribe = refuse
    wanting = asyncio.ensure_future(other.channels.want("t"))
    await asyncio.sleep(0)
    assert not other.channels.is_asked_for("t")
    assert not await wanting
    assert other.channels.is_asked_for("t")
    assert not other.channels.is_wanted("t")


async def test_concurrent_wants_share_one_subscription() -> None:
    """Callers that want one partition at once wait for the same answer."""
    _, _, other = await two()
    subscriptions: list[str] = []
    subscribe = other.relay.subscribe

    async def counted(channel: str, on_message: object) -> None:
        subscriptions.append(channel)
        await subscribe(channel, on_message)

    other.relay.subscribe = counted
    impatient = asyncio.ensure_future(other.channels.want("t"))
    patient = asyncio.ensure_future(other.channels.want("t"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient
    assert len(subscriptions) == 1


async def test_want_without_a_connection() -> None:
    """Without a connection `want` does not fail; what is lost until it is back is reported."""
    room, one, other = await two()
    await one.publish_each("t", "0")
    room.beat()
    other.relay.disconnect()
    client = await other.join("t")
    assert other.channels.is_wanted("t")
    other.publish("t", "local")
    await one.publish_each("t", "1", "2")
    other.relay.connect()
    await turns()
    await room.pass_by(3)
    await one.publish_each("t", "3")
    assert told(client) == ["local", "t lost at most 2", "3"]
    assert await other.channels.want("t")


async def test_unused_partition_is_released() -> None:
    """A minute without subscribers ends the subscription of a partition."""
    room, one, other = await two()
    client = await other.join("t")
    await room.time.pass_by(100)
    other.channels.release_unused()
    assert other.channels.is_wanted("t")
    other.broker.unsubscribe(client, "t")
    await room.time.pass_by(59)
    other.channels.release_unused()
    assert other.channels.is_wanted("t")
    await room.time.pass_by(2)
    other.channels.release_unused()
    assert not other.channels.is_wanted("t")
    await one.publish_each("t", "1")
    assert other.channels.statistics().received == 0


async def test_wanted_again() -> None:
    """What was accepted while a partition was not wanted is no loss."""
    room, one, other = await two()
    await other.channels.want("t")
    await room.time.pass_by(61)
    other.channels.release_unused()
    await one.publish_each("t", "1", "2")
    client = await other.join("t")
    await one.publish_each("t", "3")
    await room.pass_by(3)
    assert told(client) == ["3"]


async def test_deleted_topic_is_released() -> None:
    """A topic that no longer exists has no subscribers."""
    room, _, other = await two()
    await other.join("t")
    other.broker.remove("t", Frame(b"{}"))
    await room.time.pass_by(61)
    other.channels.release_unused()
    assert not other.channels.is_wanted("t")


async def test_loss_of_a_deleted_topic() -> None:
    """No client is notified of a loss in a topic that is gone."""
    first, second = of_one_partition(2)
    _, one, other = await two(first, second)
    client = await other.join(first, second)
    await one.publish_each(first, "1")
    other.relay.drops = 1
    await one.publish_each(second, "2")
    other.broker.remove(second, Frame(b"gone"))
    await one.publish_each(first, "3")
    assert told(client) == ["1", "gone", "3"]


async def test_close_ends_questions() -> None:
    """After `close` no task and no timer is left."""
    room, one, other = await two()
    await other.join("t")
    room.beat()
    other.relay.drops = 1
    await one.publish_each("t", "1")
    room.beat()
    other.channels.close()
    await room.time.pass_by(5)
    assert other.asked == []
