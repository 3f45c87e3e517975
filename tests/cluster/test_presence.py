"""The members of a topic in several processes."""

import msgspec
import pytest

from pubsub.cluster.presence import messages as presence_messages
from pubsub.cluster.presence import own as own_members
from pubsub.cluster.presence.messages import Changes, Said, State
from pubsub.cluster.presence.others import RETRY_AFTER
from pubsub.cluster.presence.own import CONFIRM_AFTER, INTERVAL
from pubsub.cluster.presence.presence import KEEP
from pubsub.core.errors import NoPresence, TopicNotFound
from pubsub.core.options import TopicOptions
from pubsub.protocol import replies
from tests.cluster.presence_room import CHANNEL, TOPIC, Process, Room
from tests.cluster.support import turns
from tests.core.presence_room import LINGER, names
from tests.core.support import join


async def test_one_user_on_two_processes() -> None:
    """A user who is connected to two processes is one member, in both of them."""
    room = Room()
    first, second = room.processes
    first.join("ann", b'{"n":1}')
    second.join("ann", b'{"n":1}')
    second.join("bob")
    await room.elapse(INTERVAL)
    for process in room.processes:
        assert process.counts == {"ann": 2, "bob": 1}
        assert (process.notice.clients, process.notice.users) == (3, 2)
        assert {member.info for member in process.notice.members or ()} == {b'{"n":1}', b"{}"}


async def test_clients_without_a_user() -> None:
    """A client without a user is a member elsewhere until it leaves."""
    room = Room()
    first, second = room.processes
    second.join("bob")
    client = first.join()
    await room.elapse(INTERVAL)
    assert second.names == sorted(["bob", client.id])
    first.broker.disconnect(client)
    await room.elapse(INTERVAL)
    assert second.names == ["bob"]


async def test_changes_are_coalesced() -> None:
    """Who comes and goes within the interval is one change, and changes make one message."""
    room = Room()
    first, second = room.processes
    second.join("bob")
    await room.elapse(INTERVAL)
    received: list[bytes] = []
    await second.relay.subscribe(CHANNEL, received.append)
    for number in range(10):
        first.broker.unsubscribe(first.join(f"user{number}"), TOPIC)
    first.join("ann")
    await room.elapse(INTERVAL)
    (message,) = (msgspec.msgpack.decode(data, type=Changes) for data in received)
    assert len(message.topics[TOPIC]) == 11


async def test_a_user_lingers_elsewhere() -> None:
    """A user whose connection was lost lingers in all processes, and counts as no connection."""
    room = Room()
    first, second = room.processes
    second.join("bob")
    client = first.join("ann")
    await room.elapse(INTERVAL)
    first.broker.disconnect(client, lost=True)
    await room.elapse(INTERVAL)
    assert second.counts == {"ann": 0, "bob": 1}
    await room.elapse(LINGER + 1)
    await room.elapse(INTERVAL)
    assert second.names == ["bob"]


async def test_a_user_who_returns_to_another_process() -> None:
    """A user who was lost and comes back to another process within the time is a member always."""
    room = Room()
    first, second = room.processes
    watcher = join(second.broker)
    second.broker.subscribe(watcher, TOPIC, presence=True)
    client = first.join("ann")
    await room.elapse(INTERVAL)
    await room.elapse(2)
    watcher.outbox.take_nowait(1 << 20)
    first.broker.disconnect(client, lost=True)
    await room.elapse(INTERVAL)
    second.join("ann")
    await room.elapse(LINGER + 1)
    await room.elapse(2)
    assert second.counts == {None: 1, "ann": 1}
    assert watcher.outbox.empty()


async def test_a_newcomer_asks() -> None:
    """A process that gets its first subscriber learns of all members that were there before."""
    room = Room(3)
    first, second, third = room.processes
    first.join("ann")
    second.join("bob")
    await room.elapse(10)
    third.join("cid")
    await turns()
    assert third.names == ["ann", "bob", "cid"]
    assert third.questions == 1


async def test_members_are_there_before_the_subscription() -> None:
    """After `prepare` a new subscriber sees the members of all processes at once."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    await room.elapse(10)
    await second.presence.prepare(TOPIC)
    assert second.names == ["ann"]


async def test_a_view_without_subscribers() -> None:
    """A process without subscribers shows the members of others, and asks no more than needed."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    await room.elapse(10)
    for _ in range(3):
        assert names(await second.presence.view(TOPIC)) == ["ann"]
    assert second.questions == 1
    first.join("bob")
    await room.elapse(INTERVAL)
    assert names(await second.presence.view(TOPIC)) == ["ann", "bob"]


async def test_a_view_of_what_has_no_members() -> None:
    """A view of a missing topic, or of one without presence, is an error."""
    room = Room()
    process, _ = room.processes
    process.broker.install("news", TopicOptions(), "")
    with pytest.raises(NoPresence):
        await process.presence.view("news")
    with pytest.raises(TopicNotFound):
        await process.presence.view("orders")


async def test_members_that_nobody_needs_are_forgotten() -> None:
    """A process without subscribers receives nothing after a while, and starts afresh later."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    client = second.join("bob")
    await room.elapse(INTERVAL)
    second.broker.unsubscribe(client, TOPIC)
    await room.elapse(2 * KEEP + 1)
    assert second.names == []
    assert "0 partitions" in repr(second.presence)
    second.relay.drops = 1
    first.join("cid")
    await room.elapse(INTERVAL)
    assert second.names == []
    assert second.relay.drops == 1, "the process receives nothing about the topic"
    second.relay.drops = 0
    second.join("bob")
    await turns()
    assert second.names == ["ann", "bob", "cid"]


async def test_members_that_are_needed_again_are_kept() -> None:
    """A topic that gets a subscriber again in time keeps the members of others."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    client = second.join("bob")
    await room.elapse(INTERVAL)
    second.broker.unsubscribe(client, TOPIC)
    second.join("cid")
    await room.elapse(2 * KEEP + 1)
    assert second.names == ["ann", "cid"]
    assert second.questions == 1


async def test_a_process_that_dies() -> None:
    """The members of a process that has died are gone, and those of others are not."""
    room = Room(3)
    first, second, third = room.processes
    first.join("ann")
    first.join("bob")
    second.join("bob")
    third.join("cid")
    await room.elapse(INTERVAL)
    third.presence.drop_process("0")
    await turns()
    assert third.counts == {"bob": 1, "cid": 1}
    assert third.notice.clients == 2


async def test_a_process_that_was_thought_dead() -> None:
    """When a process that was given up says something, all its members are asked for."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    second.join("bob")
    await room.elapse(INTERVAL)
    second.presence.drop_process("0")
    await turns()
    first.join("cid")
    await room.elapse(INTERVAL)
    assert second.names == ["ann", "bob", "cid"]


async def test_a_process_that_is_back_and_silent() -> None:
    """When a process that was given up is heard again, its members are back without a change."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    second.join("bob")
    await room.elapse(INTERVAL)
    second.presence.drop_process("0")
    await turns()
    assert second.names == ["bob"]
    second.presence.on_joined()
    await turns()
    assert second.names == ["ann", "bob"]


async def test_a_gap() -> None:
    """When a message was lost, the next one makes the process ask for all members."""
    room = Room()
    first, second = room.processes
    ann = first.join("ann")
    second.join("bob")
    await room.elapse(INTERVAL)
    second.relay.drops = 1
    first.broker.disconnect(ann)
    first.join("cid")
    await room.elapse(INTERVAL)
    assert second.names == ["ann", "bob"]
    first.join("dan")
    await room.elapse(INTERVAL)
    assert second.names == ["bob", "cid", "dan"]


async def test_the_last_message_is_lost() -> None:
    """The loss of the last message is noticed as well, a little later."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    second.join("bob")
    await room.elapse(CONFIRM_AFTER + 1)
    second.relay.drops = 1
    first.join("cid")
    await room.elapse(INTERVAL)
    assert second.names == ["ann", "bob"]
    await room.elapse(CONFIRM_AFTER)
    assert second.names == ["ann", "bob", "cid"]


async def test_nothing_is_asked_when_nothing_is_missing() -> None:
    """As long as all messages arrive, nothing is asked for."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    second.join("bob")
    await room.elapse(CONFIRM_AFTER + 1)
    asked = second.questions
    for number in range(5):
        first.join(f"user{number}")
        await room.elapse(CONFIRM_AFTER + 1)
    assert len(second.names) == 7
    assert second.questions == asked


async def test_a_split() -> None:
    """After a split both sides learn what they have missed."""
    room = Room()
    first, second = room.processes
    ann = first.join("ann")
    bob = second.join("bob")
    await room.elapse(INTERVAL)
    second.relay.disconnect()
    first.broker.disconnect(ann)
    second.broker.disconnect(bob)
    first.join("cid")
    second.join("dan")
    await room.elapse(CONFIRM_AFTER + 1)
    assert (first.names, second.names) == (["bob", "cid"], ["ann", "dan"])
    second.relay.connect()
    await turns()
    await room.elapse(0)
    assert first.names == second.names == ["cid", "dan"]


async def test_a_process_without_the_network() -> None:
    """Without the network a process shows the members that it knows."""
    room = Room()
    first, second = room.processes
    second.relay.is_connected = False
    second.join("bob")
    assert names(await second.presence.view(TOPIC)) == ["bob"]
    first.join("ann")
    await room.elapse(INTERVAL)
    second.relay.connect()
    await turns()
    await room.elapse(INTERVAL)
    assert first.names == second.names == ["ann", "bob"]


async def test_a_question_that_failed() -> None:
    """A question that the network did not take is repeated after a while."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    await room.elapse(10)
    second.relay.is_connected = False
    second.join("bob")
    await turns()
    second.relay.is_connected = True
    assert not second.presence.knows(TOPIC)
    await room.elapse(RETRY_AFTER)
    assert second.presence.knows(TOPIC)
    assert second.names == ["ann", "bob"]


async def test_a_process_that_does_not_answer_a_newcomer() -> None:
    """A process that is alive and gives no answer is asked again until it does."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    await room.elapse(10)
    first.answers = False
    second.join("bob")
    await turns()
    assert second.presence.knows(TOPIC), "nobody waits for a process that does not answer"
    await room.elapse(RETRY_AFTER)
    assert (second.names, second.questions) == (["bob"], 2)
    first.answers = True
    await room.elapse(RETRY_AFTER)
    assert second.names == ["ann", "bob"]
    await room.elapse(10 * RETRY_AFTER)
    assert second.questions == 3


async def test_a_gap_and_no_answer() -> None:
    """When a message was lost, the process that sent it is asked until it answers."""
    room = Room()
    first, second = room.processes
    ann = first.join("ann")
    second.join("bob")
    await room.elapse(INTERVAL)
    first.answers = False
    second.relay.drops = 1
    first.broker.disconnect(ann)
    await room.elapse(INTERVAL)
    first.join("cid")
    await room.elapse(INTERVAL)
    assert second.names == ["ann", "bob", "cid"]
    first.answers = True
    await room.elapse(RETRY_AFTER)
    assert second.names == ["bob", "cid"]


async def test_nothing_is_asked_again_for_a_topic_without_subscribers() -> None:
    """A process that does not answer is not asked about topics that nobody needs any more."""
    room = Room()
    first, second = room.processes
    first.answers = False
    client = second.join("bob")
    await turns()
    second.broker.unsubscribe(client, TOPIC)
    for _ in range(20):
        await room.elapse(KEEP / 2)
    assert second.questions <= 1 + 2 * KEEP / RETRY_AFTER
    assert room.time.timers == []


async def test_nothing_is_asked_again_of_a_process_that_is_gone() -> None:
    """A process that left without an answer is not waited for."""
    room = Room()
    first, second = room.processes
    first.answers = False
    second.before_answers = first.leave
    second.join("bob")
    await turns()
    await room.elapse(RETRY_AFTER)
    assert second.questions == 1


async def test_nothing_is_asked_again_for_a_deleted_topic() -> None:
    """A process that did not answer is not asked about topics that were deleted since."""
    room = Room()
    first, second = room.processes
    first.answers = False
    second.join("bob")
    await turns()
    second.broker.remove(TOPIC, replies.encode_topic_deleted(TOPIC))
    second.presence.on_removed(TOPIC)
    await room.elapse(RETRY_AFTER)
    assert second.questions == 1


async def test_retries_do_not_pile_up() -> None:
    """However often members are asked for without an answer, one retry is due at a time."""
    room = Room()
    first, second = room.processes
    first.answers = False
    second.join("bob")
    await room.elapse(CONFIRM_AFTER + 1)
    due = len(room.time.timers)
    for _ in range(10):
        second.presence.on_joined()
        await turns()
    assert (second.questions, len(room.time.timers)) == (11, due)
    for _ in range(10):
        await room.elapse(RETRY_AFTER)
    assert second.questions == 21


async def test_an_answer_of_a_process_that_has_left() -> None:
    """A process that leaves before its answer is looked at leaves no members behind."""
    room = Room(3)
    first, second, third = room.processes
    first.join("ann")
    second.join("bob")
    await room.elapse(10)
    third.before_answers = first.leave
    third.join("cid")
    await turns()
    assert third.names == ["bob", "cid"]


async def test_a_process_that_leaves_while_its_answer_is_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of a long answer nothing more is taken once its process has left."""
    for module in (own_members, presence_messages):
        monkeypatch.setattr(module, "SLICE", 10)
    room = Room(presence_max=1000)
    first, second = room.processes
    for number in range(100):
        first.join(f"user{number}")
    await room.elapse(10)
    second.join("bob")
    while len(second.names) < 20:
        await turns(1)
    first.leave()
    await turns(200)
    assert second.names == ["bob"]


async def test_a_message_of_a_process_that_has_left() -> None:
    """A message that arrives after its process has left changes nothing."""
    room = Room(3)
    first, second, third = room.processes
    first.join("ann")
    second.join("bob")
    await room.elapse(INTERVAL)
    first.leave()
    await turns()
    late = Changes("0", 2, {TOPIC: [Said("cid", None, b"{}", 1)]})
    third.relay.publish(CHANNEL, msgspec.msgpack.encode(late))
    await turns()
    assert second.names == ["bob"]


async def test_a_process_that_is_back_while_its_members_are_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When a process that was given up is heard again at once, it has all its members again."""
    for module in (own_members, presence_messages):
        monkeypatch.setattr(module, "SLICE", 10)
    room = Room(presence_max=1000)
    _, second = room.processes
    other = "u"
    for process in room.processes:
        process.broker.install(other, TopicOptions(presence=True), "")
        for number in range(100):
            client = process.join(f"{process.name}.{number}")
        process.broker.subscribe(client, other)
    await room.elapse(INTERVAL)
    await room.elapse(CONFIRM_AFTER + 1)
    await turns(200)
    second.presence.drop_process("0")
    second.presence.on_joined()
    await turns(200)
    assert len(second.names) == 200
    assert names(second.broker.presence(other)) == ["1.99", "0.99"]


async def test_an_answer_older_than_a_message() -> None:
    """An answer that is older than a message that was received first is asked for again."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    await room.elapse(INTERVAL)

    def change() -> None:
        second.before_answers = lambda: None
        first.join("cid")
        room.time.elapse(INTERVAL)

    second.before_answers = change
    second.join("bob")
    await turns()
    assert second.names == ["ann", "bob", "cid"]
    assert second.questions == 2


async def test_a_deleted_topic() -> None:
    """The members of a deleted topic are forgotten, and are asked for when it exists again."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    second.join("bob")
    await room.elapse(INTERVAL)
    for process in room.processes:
        process.broker.remove(TOPIC, replies.encode_topic_deleted(TOPIC))
        process.presence.on_removed(TOPIC)
    first.broker.install(TOPIC, TopicOptions(presence=True), "")
    first.join("cid")
    await room.elapse(INTERVAL)
    second.broker.install(TOPIC, TopicOptions(presence=True), "")
    second.join("dan")
    await room.elapse(INTERVAL)
    assert first.names == second.names == ["cid", "dan"]


async def test_a_topic_that_is_deleted_while_changes_wait() -> None:
    """Changes of a topic that was deleted before they were published are dropped."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    second.join("bob")
    first.broker.remove(TOPIC, replies.encode_topic_deleted(TOPIC))
    first.presence.on_removed(TOPIC)
    await room.elapse(2 * KEEP + 1)
    assert second.names == ["bob"]
    assert "0 partitions" in repr(first.presence)


async def test_many_members(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many members travel in messages of bounded size, and are applied in many turns."""
    for module in (own_members, presence_messages):
        monkeypatch.setattr(module, "SLICE", 10)
    room = Room(presence_max=1000)
    first, second = room.processes
    second.join("bob")
    await room.elapse(INTERVAL)
    clients = [first.join(f"user{number}") for number in range(100)]
    received: list[bytes] = []
    third = Process(room, "2")
    room.processes.append(third)
    await third.relay.subscribe(CHANNEL, received.append)
    await room.elapse(INTERVAL)
    assert len(second.names) == 101
    sizes = [len(msgspec.msgpack.decode(data, type=Changes).topics[TOPIC]) for data in received]
    assert sizes == [10] * 10
    third.join("cid")
    await turns(100)
    assert len(third.names) == 102
    third.presence.drop_process("0")
    await turns(3)
    assert 2 < len(third.names) < 102
    await turns(100)
    assert third.names == ["bob", "cid"]
    for client in clients:
        first.broker.disconnect(client)
    await room.elapse(CONFIRM_AFTER + 1)
    assert second.names == ["bob", "cid"]


async def test_an_answer_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an answer that would be too large a part is given, and what is known stays."""
    room = Room()
    first, second = room.processes
    first.join("ann", b'{"n":1}')
    first.join("bob", b'{"n":2}')
    second.join("cid")
    await room.elapse(INTERVAL)
    monkeypatch.setattr(own_members, "ANSWER_BYTES", 50)
    state = msgspec.msgpack.decode(
        await first.presence.answer(msgspec.msgpack.encode([TOPIC, "missing"])), type=State
    )
    assert state.topics == {TOPIC: [Said("ann", None, b'{"n":1}', 1)]}
    assert not state.complete
    second.presence.on_connected()
    await turns()
    assert second.names == ["ann", "bob", "cid"]


async def test_foreign_messages_are_ignored() -> None:
    """What is no message of a process does no harm, nor do repeated messages."""
    room = Room()
    first, second = room.processes
    second.join("bob")
    first.join("ann")
    await room.elapse(INTERVAL)
    old = Changes("0", 1, {TOPIC: [Said("ann", None, None, 0)]})
    for data in (b"\xc1", msgspec.msgpack.encode(old)):
        first.relay.publish(CHANNEL, data)
    await turns()
    assert second.names == ["ann", "bob"]


async def test_foreign_answers_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that cannot be read says nothing about members."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    second.join("bob")
    await room.elapse(INTERVAL)

    async def answer(question: bytes) -> bytes:
        return b"\xc1"

    monkeypatch.setattr(first.presence, "answer", answer)
    second.presence.on_connected()
    await turns()
    first.join("cid")
    await room.elapse(INTERVAL)
    assert second.names == ["ann", "bob", "cid"]
    with pytest.raises(ValueError, match="malformed"):
        await second.presence.answer(b"\xc1")


async def test_what_goes_on_in_the_background_ends() -> None:
    """Stopping cancels all timers and tasks."""
    room = Room()
    first, second = room.processes
    first.join("ann")
    second.join("bob")
    await first.presence.stop()
    await second.presence.stop()
    assert room.time.timers == []
