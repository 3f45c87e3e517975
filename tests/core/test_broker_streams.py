"""What each subscriber receives and is told, compared with what was published (Hypothesis).

Whatever the order of publications, losses, reconnections and deletions: the events of a subscriber
and the losses that it is told of are, one after the other, exactly the messages that were due.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from pubsub.core.client import Client
from pubsub.core.loss import Loss
from pubsub.core.options import GivenOptions, Overflow
from pubsub.core.publication import Frame, Position, Publication
from pubsub.core.topic import Recover
from tests.core.support import make_broker, make_shared_broker, reply

NAMES = st.sampled_from("ab")
POLICIES = st.sampled_from([Overflow.CATCH_UP, *Overflow])
IDS = st.sampled_from(["x", "y"])
SECONDS = 10.0
"""For how long messages and ids are kept, where that is limited."""

RECOVERY_LIMIT = 5


def encode(publication: Publication) -> bytes:
    """Encode an event as the number of its message."""
    return f"event {publication.payload} {publication.offset}".encode()


def describe_loss(loss: Loss) -> Frame:
    """Return a notice with everything that it has to say."""
    return reply(f"lost {loss.topic} {loss.dropped} {loss.first} {loss.last}")


@dataclass(eq=False)
class Message:
    """A message that was accepted."""

    number: int
    room: "Room"
    offset: int
    publisher: str | None
    time: float


class Lost(NamedTuple):
    """A loss as it was reported."""

    dropped: int
    first: int | None
    last: int | None


@dataclass(eq=False)
class Room:
    """A topic from its creation to its deletion."""

    name: str
    options: GivenOptions
    epoch: str
    base: int
    end: int
    """The offset of the newest message."""

    messages: list[Message] = field(default_factory=list)
    once: dict[str, Message] = field(default_factory=dict)
    deleted: bool = False

    @property
    def history(self) -> int:
        """The largest number of messages that are kept."""
        return self.options.history or 0

    def after(self, offset: int) -> list[Message]:
        """Return the messages after an offset."""
        return [each for each in self.messages if each.offset > offset]

    def kept(self, now: float) -> list[Message]:
        """Return the messages that can still be had."""
        newest = self.messages[-self.history :] if self.history and not self.deleted else []
        limit = self.options.history_seconds
        return [each for each in newest if limit is None or each.time > now - limit]


@dataclass(eq=False)
class Reader:
    """A client, what is due to it, and what it has read."""

    client: Client
    rooms: dict[str, Room] = field(default_factory=dict)
    due: dict[Room, list[Message]] = field(default_factory=lambda: defaultdict(list))
    done: dict[Room, int] = field(default_factory=lambda: defaultdict(int))
    """How many of those that were due have come, were reported as lost, or were passed over."""

    ended: dict[Room, int] = field(default_factory=lambda: defaultdict(int))
    """How many of those that were due cannot come any more."""

    passed: dict[str, list[Message]] = field(default_factory=lambda: defaultdict(list))
    """For each name: messages that were passed over, and have to be reported."""

    reported: dict[str, list[Lost]] = field(default_factory=lambda: defaultdict(list))
    """For each name: losses that were reported, of messages that are not known yet."""

    endings: dict[str, tuple[Room, int]] = field(default_factory=dict)
    """For each reply after which nothing may come: the topic, and how much was due."""

    was_full: bool = False
    """Whether its outbox was full in a publication since it has last read everything."""

    dropped: int = 0


class StreamsMachine(RuleBasedStateMachine):
    """Topics of all kinds, and clients that read slowly, come back and leave."""

    readers = Bundle("readers")

    shared = False
    """Whether other processes decide on the order of topics with history, so offsets have holes."""

    make_broker = staticmethod(make_broker)

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.broker = self.make_broker(
            queue_size=3,
            once_seconds=SECONDS,
            recovery_limit=RECOVERY_LIMIT,
            max_topics=3,
            encode=encode,
            describe_loss=describe_loss,
            clock=lambda: self.now,
        )
        self.rooms: dict[str, Room] = {}
        self.messages: list[Message] = []
        self.connected: list[Reader] = []
        self.replies = self.created = 0
        self.holes: dict[str, int] = defaultdict(int)
        """For each name: offsets that lie between two messages, until that is changed."""

    @initialize(
        target=readers, eager=st.lists(st.booleans(), min_size=3, max_size=3), overflow=POLICIES
    )
    def begin(self, eager: list[bool], overflow: Overflow) -> MultipleResults[Reader]:
        """Most sequences would otherwise be about nothing for most of their steps."""
        readers = [self.connect(each) for each in eager]
        self.create("a", GivenOptions(history=4, overflow=Overflow.CATCH_UP))
        self.create("b", GivenOptions(history=4, overflow=overflow))
        return multiple(*readers)

    # --- Topics ---

    @rule(
        name=NAMES,
        history=st.sampled_from([4, 4, 8, 1, 0]),
        limit=st.sampled_from([None, SECONDS]),
        overflow=POLICIES,
    )
    def create_again(
        self, name: str, history: int, limit: float | None, overflow: Overflow
    ) -> None:
        """Delete a topic, and create another one of the same name."""
        self.delete(name)
        self.create(name, GivenOptions(history=history, history_seconds=limit, overflow=overflow))

    def create(self, name: str, options: GivenOptions) -> None:
        """Create a topic; everyone subscribes to it."""
        self.created += 1
        if self.shared:
            self.broker.install(name, self.broker.options_for(name, options), f"e{self.created}")
        else:
            self.broker.create_topic(name, options)
        topic = self.broker.topic(name)
        # No two topics share an offset here, so that a notice shows which one it is about.
        base = 1_000_000 * self.created
        if topic.history is not None:
            topic.history.begin_after(base)
        self.rooms[name] = Room(name, options, topic.epoch, base, base)
        for reader in self.connected:
            self.begin_subscription(reader, name, 0, None)

    def delete(self, name: str) -> None:
        """Delete a topic; nothing of it comes after the notice."""
        room, notice = self.rooms.pop(name), self.new_reply()
        room.deleted = True
        for reader in self.connected:
            if reader.rooms.pop(name, None) is not None:
                reader.endings[notice.text] = room, len(reader.due[room])
        self.broker.delete_topic(name, notice)

    @rule(seconds=st.sampled_from([1.0, SECONDS]))
    def wait(self, seconds: float) -> None:
        """Let time pass, and sometimes clean up."""
        self.now += seconds
        if seconds > 1:
            self.broker.forget_expired()

    # --- Clients ---

    def connect(self, eager: bool) -> Reader:
        """Connect a client; the socket of an eager one has some room when its outbox is full."""
        client = self.broker.connect(
            on_frames=lambda: None,
            on_full=lambda: self.take(reader, 20) if eager else None,
            on_overflow=lambda policy: None,
        )
        reader = Reader(client)
        self.connected.append(reader)
        return reader

    @rule(
        target=readers,
        past=consumes(readers),
        eager=st.booleans(),
        shift=st.sampled_from([0, 0, 0, -3, 1, 99]),
        name=NAMES,
        missed=st.sampled_from([0, 1, 3, 9]),
    )
    def reconnect(self, past: Reader, eager: bool, shift: int, name: str, missed: int) -> Reader:
        """Lose the connection, and recover from where the client was, or pretends to have been."""
        self.connected.remove(past)
        self.broker.disconnect(past.client)
        self.publish(None, name, missed)
        reader = self.connect(eager)
        for name, room in past.rooms.items():
            done = past.due[room][: past.done[room]]
            offset = (done[-1].offset if done else room.base) + shift
            recover = Recover(Position(room.epoch, max(0, offset)), past.client.id)
            self.begin_subscription(reader, name, 2, recover)
        return reader

    @rule(reader=readers, name=NAMES, last_n=st.integers(0, 9))
    def subscribe(self, reader: Reader, name: str, last_n: int) -> None:
        """Subscribe, with a number of past messages."""
        self.begin_subscription(reader, name, last_n, None)

    def begin_subscription(
        self, reader: Reader, name: str, last_n: int, recover: Recover | None
    ) -> None:
        """Subscribe as the command does: the acknowledgement, then the past."""
        room, client = self.rooms[name], reader.client
        subscribed = self.broker.subscribe(client, name, last_n=last_n, recover=recover)
        client.outbox.put_reply(self.new_reply())
        if subscribed.replay is not None:
            client.outbox.put_replay(subscribed.replay)
        recovered, past = None if recover is None else False, []
        if room.history:
            assert subscribed.position == (room.epoch, room.end)
        if name not in reader.rooms:
            kept = room.kept(self.now)
            past = [each for each in kept if each.publisher != client.id]
            past = past[-last_n:] if last_n else []
            if recover is not None and self.can_recover(room, recover.since):
                recovered, own = True, (client.id, recover.client_id)
                missed = room.after(recover.since.offset)
                past = [each for each in missed if each.publisher not in own]
        assert (subscribed.recovered, subscribed.replayed) == (recovered, len(past))
        reader.rooms[name] = room
        reader.due[room] += past

    def can_recover(self, room: Room, since: Position) -> bool:
        """Return whether all messages after a position are kept, and are not too many."""
        missed = room.after(since.offset)
        gone = len(room.messages) - len(room.kept(self.now))
        return (
            room.history > 0
            and since.epoch == room.epoch
            and (room.messages[gone - 1].offset if gone else room.base) <= since.offset <= room.end
            and len(missed) <= RECOVERY_LIMIT
        )

    @rule(reader=readers, name=NAMES)
    def unsubscribe(self, reader: Reader, name: str) -> None:
        """Unsubscribe as the command does; nothing comes after the acknowledgement."""
        room = reader.rooms.pop(name, None)
        if room is not None:
            self.broker.unsubscribe(reader.client, name)
            ack = self.new_reply()
            reader.endings[ack.text] = room, len(reader.due[room])
            reader.client.outbox.put_reply(ack)

    def new_reply(self) -> Frame:
        """Return a reply that is like no other."""
        self.replies += 1
        return reply(f"reply {self.replies}")

    # --- Messages ---

    @rule(name=NAMES, size=st.sampled_from([1, 2, 100]))
    def leave_a_hole(self, name: str, size: int) -> None:
        """Let offsets pass that no message of the topic has."""
        if self.shared and self.rooms[name].history:
            self.holes[name] = size

    @rule(reader=st.none() | readers, name=NAMES, times=st.sampled_from([1, 3, 9]))
    def publish(self, reader: Reader | None, name: str, times: int) -> None:
        """Publish, sometimes more than an outbox takes and a history keeps."""
        for _ in range(times):
            self.publish_one(reader, self.rooms[name], "")

    @rule(name=NAMES)
    def publish_in_turns(self, name: str) -> None:
        """Let the clients publish to each other."""
        for reader in self.connected:
            self.publish(reader, name, 2)

    @rule(reader=st.none() | readers, name=NAMES, message_id=IDS)
    def publish_once(self, reader: Reader | None, name: str, message_id: str) -> None:
        """Publish unless a message with this id was published a short time ago."""
        self.publish_one(reader, self.rooms[name], message_id)

    def publish_one(self, reader: Reader | None, room: Room, once_id: str) -> None:
        """Publish, and note to whom the message is due."""
        number, publisher = len(self.messages), reader.client if reader else None
        publisher_id = publisher.id if publisher else None
        offset = room.end + 1 + self.holes[room.name]
        message = Message(number, room, offset, publisher_id, self.now)
        first = room.once.get(once_id, message)
        if first.time <= self.now - SECONDS:
            first = message
        if first is message:
            self.accept(message, reader)
            if once_id:
                room.once[once_id] = message
        if self.shared and room.history:
            if first is message:
                self.deliver(message)
            return
        publication = self.broker.publish(
            room.name, once_id or "id", number, publisher=publisher, once=bool(once_id)
        )
        assert publication.duplicate is (first is not message)
        assert publication.offset == (first.offset if room.history else None)

    def deliver(self, message: Message) -> None:
        """Bring the broker a message from the order that all processes share."""
        name = message.room.name
        self.broker.count_accepted(name, by_client=message.publisher is not None)
        self.broker.deliver_kept(
            name,
            f"event {message.number} {message.offset}".encode(),
            offset=message.offset,
            publisher_id=message.publisher,
            user=None,
        )

    def accept(self, message: Message, publisher: Reader | None) -> None:
        """Note to whom a message is due."""
        room = message.room
        self.messages.append(message)
        room.messages.append(message)
        room.end = message.offset
        for reader in self.connected:
            if room.name in reader.rooms and reader is not publisher:
                reader.due[room].append(message)
                reader.was_full |= reader.client.outbox.full()

    # --- Reading ---

    @rule(reader=readers, max_bytes=st.sampled_from([1, 20, 40]))
    def read_some(self, reader: Reader, max_bytes: int) -> None:
        """Let the socket take some frames."""
        self.take(reader, max_bytes)

    @rule(reader=readers)
    def read_all(self, reader: Reader) -> None:
        """Let the socket take everything: then every message has come or is accounted for."""
        while not reader.client.outbox.empty():
            self.take(reader, 1 << 20)
        for room, due in reader.due.items():
            self.pass_over(reader, room, len(due))
        for name, passed in reader.passed.items():
            self.explain(passed, reader.reported[name])
        reader.passed.clear()
        reader.reported.clear()
        reader.was_full = False
        assert reader.client.outbox.dropped == reader.dropped

    def take(self, reader: Reader, max_bytes: int) -> None:
        """Take frames as the write pump does, and compare each with what is due."""
        for frame in reader.client.outbox.take_nowait(max_bytes):
            kind, *words = frame.text.split()
            if kind == "event":
                self.receive(reader, self.messages[int(words[0])], words[1])
            elif kind == "lost":
                self.learn(
                    reader, words[0], Lost(*(None if x == "None" else int(x) for x in words[1:]))
                )
            elif frame.text in reader.endings:
                room, count = reader.endings[frame.text]
                reader.ended[room] = count

    def receive(self, reader: Reader, message: Message, offset: str) -> None:
        """Receive an event: it is due, and later than all before."""
        room = message.room
        assert offset == (str(message.offset) if room.history else "None")
        # It may have been due in an earlier subscription, too, of which nothing comes any more.
        index = reader.due[room].index(message, max(reader.done[room], reader.ended[room]))
        self.pass_over(reader, room, index)
        reader.done[room] += 1
        # Whatever is missing before this event has been reported.
        reported = sum(each.dropped for each in reader.reported[room.name])
        assert len(reader.passed[room.name]) <= reported

    def pass_over(self, reader: Reader, room: Room, index: int) -> None:
        """Note that what is due up to this one will not come any more."""
        reader.passed[room.name] += reader.due[room][reader.done[room] : index]
        reader.done[room] = index

    def learn(self, reader: Reader, name: str, lost: Lost) -> None:
        """Learn of a loss. Unless the oldest are dropped, it is what is due next."""
        reader.dropped += lost.dropped
        room = next(
            (each for each in reader.due if each.base < (lost.first or 0) <= each.end), None
        )
        if room is None or room.options.overflow is Overflow.DROP_OLDEST:
            assert (room is None) == (lost.first is None)
            reader.reported[name].append(lost)
            return
        end = reader.done[room] + lost.dropped
        messages, rest = reader.due[room][reader.done[room] : end], reader.due[room][end:]
        self.explain(messages, [lost])
        if rest and rest[0].number > messages[-1].number:  # or it is due again
            assert rest[0].offset > lost.last
        reader.done[room] = end
        kept = room.kept(self.now)
        if room.options.overflow is Overflow.CATCH_UP or not reader.was_full:
            assert not any(each in kept for each in messages)

    def explain(self, messages: list[Message], reported: list[Lost]) -> None:
        """Check that these messages are what was reported as lost."""
        assert len(messages) == sum(lost.dropped for lost in reported)
        for lost in reported:
            if lost.first is not None:
                offsets = [
                    each.offset for each in messages if lost.first <= each.offset <= lost.last
                ]
                assert len(offsets) >= lost.dropped
                if not self.shared:  # or they are bounds
                    assert (min(offsets), max(offsets)) == (lost.first, lost.last)

    @invariant()
    def every_delivery_is_counted(self) -> None:
        """Whatever was offered was delivered or dropped; replays were not offered."""
        totals = self.broker.statistics()
        assert totals.offered == totals.delivered + totals.dropped - totals.dropped_from_history
        assert totals.messages == len(self.messages)

    def teardown(self) -> None:
        """In the end, every client has everything or knows what it has not."""
        for reader in self.connected:
            self.read_all(reader)


class TestStreams(StreamsMachine.TestCase):
    """Every subscriber gets what is due to it, and learns of what it does not get."""

    settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


class SharedStreamsMachine(StreamsMachine):
    """The same in one process of several."""

    shared = True
    make_broker = staticmethod(make_shared_broker)


class TestSharedStreams(SharedStreamsMachine.TestCase):
    """That holds in each process of a room, where offsets have holes."""

    settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
