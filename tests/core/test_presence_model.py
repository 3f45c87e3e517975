"""Presence compared with a plain model of it, for any sequence of calls (Hypothesis).

Whatever happens, a watcher that applies each notice to its picture of the room has the members of
the moment at which the notice was encoded.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from pubsub.core.client import Client
from pubsub.core.members import Members
from pubsub.core.notices import Notice, Who
from pubsub.core.publication import Frame
from tests.core.presence_room import INTERVAL, LINGER, Room
from tests.core.support import publish

MAX_MEMBERS = 4
USERS = st.sampled_from([None, None, "ann", "bob", "cid"])
PROCESSES = st.sampled_from(["p", "q"])
INFOS = st.sampled_from([b"{}", b'{"n":1}'])

Picture = dict[Who, bytes] | None
"""The info of each member; ``None`` if there are too many to be shown."""


@dataclass
class ModelMember:
    """A member's info, its connections, and how long it lingers without any."""

    info: bytes
    clients: set[str] = field(default_factory=set)
    until: float | None = None
    others: dict[str, tuple[bytes, int]] = field(default_factory=dict)


class WatchedRoom(Room):
    """A room that remembers who was there at each notice."""

    def __init__(self, machine: "PresenceMachine") -> None:
        self.machine = machine
        self.truths: list[tuple[float, Picture]] = []
        super().__init__(presence_max=MAX_MEMBERS, queue_size=2)

    def describe(self, notice: Notice) -> Frame:
        """Encode a notice, and look who is there."""
        self.truths.append((self.time.now, self.machine.truth()))
        return super().describe(notice)


class PresenceMachine(RuleBasedStateMachine):
    """Every rule makes the same change to the room and the model."""

    clients = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.room = WatchedRoom(self)
        self.members: dict[Who, ModelMember] = {}
        self.pictures: dict[Client, Picture] = {}
        self.last: dict[Client, float] = {}

    # --- The model ---

    def enter(self, client: Client) -> None:
        """Count a connection."""
        member = self.members.setdefault(who(client), ModelMember(client.info))
        member.info = client.info
        member.clients.add(client.id)
        member.until = None

    def leave(self, client: Client, *, of: Who, lost: bool = False) -> None:
        """Count a connection no more."""
        member = self.members[of]
        member.clients.discard(client.id)
        if not member.clients:
            member.until = self.room.time.now + (LINGER if lost and of.user else 0)

    def truth(self) -> Picture:
        """Return who is there now."""
        now = self.room.time.now
        self.members = {
            key: member
            for key, member in self.members.items()
            if member.until is None or member.until > now or member.others
        }
        if len(self.members) > MAX_MEMBERS:
            return None
        return {key: member.info for key, member in self.members.items()}

    # --- What happens ---

    @rule(target=clients, user=USERS, info=INFOS)
    def connect(self, user: str | None, info: bytes) -> Client:
        """A client connects."""
        return self.room.connect(user, info)

    @rule(client=clients, asks=st.booleans())
    def subscribe(self, client: Client, asks: bool) -> None:
        """A client subscribes, maybe not for the first time, and maybe asks for presence."""
        if "t" not in client.topics:
            self.truth()  # forgets who has lingered long enough
            self.enter(client)
        if asks:
            self.pictures[client] = picture(self.room.ask(client))
            assert self.pictures[client] == self.truth()
            client.outbox.take_nowait(1 << 20)  # a client looks at what has come last
        else:
            self.room.broker.subscribe(client, "t")

    @rule(client=clients)
    def unsubscribe(self, client: Client) -> None:
        """A client unsubscribes."""
        if "t" in client.topics:
            self.room.broker.unsubscribe(client, "t")
            self.leave(client, of=who(client))
            self.pictures.pop(client, None)

    @rule(client=consumes(clients), lost=st.booleans())
    def disconnect(self, client: Client, lost: bool) -> None:
        """A client closes its connection, or loses it."""
        if "t" in client.topics:
            self.leave(client, of=who(client), lost=lost)
        self.room.broker.disconnect(client, lost=lost)
        self.pictures.pop(client, None)

    @rule(client=clients, user=USERS, info=INFOS)
    def identify(self, client: Client, user: str | None, info: bytes) -> None:
        """A client becomes another user, or its user gets another info."""
        former = who(client)
        self.room.broker.identify(client, user, info)
        if "t" in client.topics:
            self.truth()
            self.enter(client)
            if former != who(client):
                self.leave(client, of=former)

    @rule(
        process=PROCESSES,
        user=st.sampled_from(["ann", "bob"]),
        info=st.none() | INFOS,
        clients=st.integers(0, 2),
    )
    def hear(self, process: str, user: str, info: bytes | None, clients: int) -> None:
        """Another process says what it knows about a user."""
        self.truth()
        key = Who(user, None)
        self.real.set_remote(process, key, info, clients)
        if info is not None:
            member = self.members.setdefault(key, ModelMember(info, until=0))
            if member.others.get(process, (b"", 0))[0] != info:
                member.info = info
            member.others[process] = info, clients
        elif key in self.members:
            self.members[key].others.pop(process, None)

    @rule(process=PROCESSES)
    def drop(self, process: str) -> None:
        """Another process dies."""
        self.real.drop_process(process)
        for member in self.members.values():
            member.others.pop(process, None)

    @property
    def real(self) -> Members:
        """The members of the topic."""
        presence = self.room.broker.topic("t").presence
        assert presence is not None
        return presence.members

    @rule(seconds=st.sampled_from([0.3, INTERVAL, LINGER]))
    def elapse(self, seconds: float) -> None:
        """Time passes."""
        self.room.elapse(seconds)

    @rule()
    def publish(self) -> None:
        """Outboxes that nobody reads fill with events."""
        publish(self.room.broker, "t", "text")

    @rule(client=clients)
    def read(self, client: Client) -> None:
        """A client reads everything that is queued, and updates its picture."""
        texts = [frame.text for frame in client.outbox.take_nowait(1 << 20)]
        if client not in self.pictures:
            return
        for number in (int(text) for text in texts if text.isdecimal()):
            time, truth = self.room.truths[number]
            assert time - self.last.get(client, 0) >= INTERVAL
            self.last[client] = time
            self.pictures[client] = apply(self.room.notices[number], self.pictures[client])
            assert self.pictures[client] == truth

    # --- What always holds ---

    @invariant()
    def same_members(self) -> None:
        """The presence and the model have the same members, and the same counts."""
        truth = self.truth()
        notice = self.room.broker.presence("t")
        assert picture(notice) == truth
        assert notice.clients == sum(
            len(member.clients) + sum(clients for _, clients in member.others.values())
            for member in self.members.values()
        )
        assert {member.who: member.clients for member in self.real.local_members()} == {
            key: len(member.clients)
            for key, member in self.members.items()
            if member.until is None or member.until > self.room.time.now
        }
        assert notice.users == sum(key.user is not None for key in self.members)

    def teardown(self) -> None:
        """When everything has been read, every watcher knows who is there, and no timer is left."""
        for _ in range(2):
            for client in self.pictures:
                self.read(client)
            self.room.elapse(LINGER + INTERVAL)
        for client in self.pictures:
            self.read(client)
            assert self.pictures[client] == self.truth()
        assert self.room.time.timers == []


def who(client: Client) -> Who:
    """Return the member that a client is."""
    return Who(None, client.id) if client.user is None else Who(client.user, None)


def picture(notice: Notice) -> Picture:
    """Return the members of a notice."""
    if notice.members is None:
        return None
    return {member.who: member.info for member in notice.members}


def apply(notice: Notice, known: Picture) -> Picture:
    """Apply a notice to a picture; each change in it must be one."""
    if notice.joined is None:
        return picture(notice)
    assert known is not None
    assert notice.left is not None
    assert notice.joined or notice.left
    after = dict(known)
    for former in notice.left:
        del after[former]
    for member in notice.joined:
        assert after.get(member.who) != member.info
        after[member.who] = member.info
    return after


class TestPresence(PresenceMachine.TestCase):
    """Presence behaves as the model does."""

    settings = settings(max_examples=100, stateful_step_count=40)
