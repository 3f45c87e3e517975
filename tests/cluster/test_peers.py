"""The processes of a room: heartbeats, silence, and the subscribers of topics elsewhere."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pubsub.cluster.messenger.messenger import Messenger
from pubsub.cluster.peers import peers
from pubsub.cluster.peers.peers import MAX_COUNTS, Peers
from pubsub.core.client import Client
from pubsub.relay.errors import Unavailable
from pubsub.relay.memory import MemoryNetwork
from pubsub.turns import Turns
from tests.cluster.support import Time, connected_relay, turns
from tests.core.support import join, make_shared_broker, reply


class Process:
    """A process with a broker and all that `Peers` needs; it notes what `Peers` reports."""

    def __init__(self, room: "Room", name: str, topics: tuple[str, ...], **options: Any) -> None:
        self.name = name
        self.relay = connected_relay(room.network)
        self.broker = make_shared_broker(max_subscriptions=100_000)
        for topic in topics:
            self.install(topic)
        self.heard: list[tuple[str, str]] = []
        self.positions: dict[str, dict[int, int]] = {}
        self.messenger = Messenger(name, self.relay, call_later=room.time.call_later)

        def note(what: str) -> Callable[[str], None]:
            return lambda process: self.heard.append((what, process))

        self.peers = Peers(
            name,
            self.relay,
            self.messenger,
            self.broker,
            turns=Turns(),
            positions=lambda: {7: len(name)},
            on_positions=self._note_positions,
            on_joined=note("joined"),
            on_left=note("left"),
            on_gone=note("gone"),
            clock=room.time,
            call_later=room.time.call_later,
            **options,
        )

    def _note_positions(self, process: str, positions: dict[int, int], uptime: float) -> None:
        self.positions[process] = positions

    def install(self, topic: str) -> None:
        """Create a topic."""
        self.broker.install(topic, self.broker.options_for(topic), "epoch")

    def join(self, *topics: str) -> Client:
        """Connect a client with these subscriptions."""
        return join(self.broker, *topics)

    async def start(self) -> None:
        """Start."""
        await self.messenger.start()
        await self.peers.start()

    def take_heard(self) -> list[tuple[str, str]]:
        """Return what was reported since the last call."""
        heard, self.heard = self.heard, []
        return heard

    def silence(self) -> None:
        """Have everything that it sends be lost, and what is sent to it."""
        self.relay.is_connected = False

    @property
    def alive(self) -> list[str]:
        """The ids of the other processes that are alive."""
        return [peer.id for peer in self.peers.alive]


class Room:
    """Some processes of one room, and one clock for all of them."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.time = Time()

    async def process(self, name: str, *topics: str, **options: Any) -> Process:
        """Start a process."""
        process = Process(self, name, topics or ("t", "u"), **options)
        await process.start()
        await turns()
        return process

    async def processes(self, *names: str) -> list[Process]:
        """Start some processes, and let them hear of each other."""
        processes = [await self.process(name) for name in names]
        await self.time.pass_by(1.25)
        for process in processes:
            process.take_heard()
        return processes


@pytest.fixture
def room() -> Room:
    """A room without processes."""
    return Room()


async def test_processes_hear_of_each_other(room: Room) -> None:
    """A process is known to those before it at once, and knows them a moment later."""
    a = await room.process("a")
    b = await room.process("b", serves=False)
    assert a.take_heard() == [("joined", "b")]
    assert a.positions == {"b": {7: 1}}
    await room.time.pass_by(0.25)
    assert b.take_heard() == [("joined", "a")]
    assert (a.alive, b.alive) == (["b"], ["a"])
    assert [each.peers.alive[0].serves for each in (a, b)] == [False, True]
    assert a.take_heard() == []


async def test_many_new_processes(room: Room) -> None:
    """All of them together get one more heartbeat, and then there are no more than usual."""
    a = await room.process("a")
    for name in "bcde":
        await room.process(name)
    before = a.peers._number
    await room.time.pass_by(0.25)
    assert a.peers._number == before + 1
    await room.time.pass_by(0.5)
    assert a.peers._number == before + 1


async def test_totals(room: Room) -> None:
    """A heartbeat has the totals of its process."""
    a, b = await room.processes("a", "b")
    b.join("t", "u")
    b.peers.beat_now()
    await turns()
    totals = a.peers.alive[0].totals
    assert (totals.topics, totals.clients, totals.subscribers) == (2, 1, 2)
    assert a.peers.alive[0].heard == room.time.now


async def test_subscribers_elsewhere(room: Room) -> None:
    """The subscribers of a topic in all other processes are known within two seconds."""
    a, b, c = await room.processes("a", "b", "c")
    clients = [b.join("t"), b.join("t", "u"), c.join("t")]
    a.join("t")
    await room.time.pass_by(1.25)
    assert [each.peers.remote_subscribers("t") for each in (a, b, c)] == [3, 2, 3]
    assert a.peers.remote_subscribers("u") == 1
    b.broker.disconnect(clients[1])
    await room.time.pass_by(1.25)
    assert [a.peers.remote_subscribers(topic) for topic in ("t", "u", "v")] == [2, 0, 0]
    assert a.peers._counts._subscribers.keys() == {"t"}


async def test_subscribers_of_a_deleted_topic(room: Room) -> None:
    """A new topic of the name of a deleted one has no subscribers."""
    a, b = await room.processes("a", "b")
    b.join("t")
    await room.time.pass_by(1.25)
    assert a.peers.remote_subscribers("t") == 1
    b.broker.remove("t", reply("gone"))
    b.install("t")
    await room.time.pass_by(1.25)
    assert a.peers.remote_subscribers("t") == 0


async def test_a_new_process_asks_for_all_counts(room: Room) -> None:
    """A process that starts later knows the subscribers from before."""
    a = await room.process("a")
    a.join("t")
    await room.time.pass_by(5)
    b = await room.process("b")
    await room.time.pass_by(1.25)
    assert b.peers.remote_subscribers("t") == 1


async def test_a_heartbeat_is_lost(room: Room) -> None:
    """After a lost heartbeat all counts are asked for, and those that are obsolete are dropped."""
    a, b = await room.processes("a", "b")
    client = b.join("t")
    await room.time.pass_by(1)
    assert a.peers.remote_subscribers("t") == 1
    a.relay.drops = 1
    b.broker.disconnect(client)
    b.join("u")
    b.peers.beat_now()
    await turns()
    assert a.peers.remote_subscribers("t") == 1
    await room.time.pass_by(1.25)
    assert [a.peers.remote_subscribers(topic) for topic in ("t", "u")] == [0, 1]


async def test_the_counts_are_not_answered(room: Room) -> None:
    """They are asked for again."""
    a, b = await room.processes("a", "b")
    b.join("t")
    a.relay.drops = 1
    b.peers.beat_now()
    await turns()
    b.messenger.handle("counts", lambda body: b"")
    await room.time.pass_by(1)
    assert a.peers.remote_subscribers("t") == 0
    b.messenger.handle("counts", b.peers._counts._answer)
    await room.time.pass_by(1.25)
    assert a.peers.remote_subscribers("t") == 1


async def test_a_new_process_does_not_wait_for_counts_forever(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that never answer hold up a new one for the time of one question."""
    monkeypatch.setattr(peers, "GREETING_TIME", 0)
    a, b = await room.process("a"), await room.process("b")
    for each in (a, b):
        each.messenger.handle("counts", lambda body: asyncio.Future())
    await room.time.pass_by(5)
    b.silence()
    await room.time.pass_by(10)
    c = await room.process("c")
    await room.time.pass_by(0.25)
    meeting = asyncio.ensure_future(c.peers.meet())
    await room.time.pass_by(0.75)
    assert not meeting.done()
    b.relay.connect()
    await room.time.pass_by(2)
    assert meeting.done()
    for each in (a, b, c):
        each.messenger.stop()


async def test_counts_that_change_while_they_are_asked_for(room: Room) -> None:
    """What a heartbeat says after the question is newer than the answer."""
    a, b = await room.processes("a", "b")
    client = b.join("t")
    a.relay.drops = 1
    b.peers.beat_now()
    await turns()
    before = await b.peers._counts._answer(b"")

    async def answer(body: bytes) -> bytes:
        b.broker.disconnect(client)
        b.peers.beat_now()
        await turns(3)
        return before

    b.messenger.handle("counts", answer)
    await room.time.pass_by(1.25)
    assert a.peers.remote_subscribers("t") == 0


async def test_many_topics(room: Room) -> None:
    """The counts of 10,000 topics arrive in several heartbeats, or in an answer."""
    names = tuple(f"{number:04}" for number in range(10_000))
    a = await room.process("a", *names)
    b = await room.process("b", *names)
    b.join(*names)
    sizes = []
    await room.process("watch", *names)
    await a.relay.subscribe("beat", lambda data: sizes.append(len(msgspec.msgpack.decode(data)[6])))
    b.peers.beat_now()
    await turns()
    assert sizes == [MAX_COUNTS] * 10
    c = await room.process("c", *names)
    await room.time.pass_by(3)
    assert {c.peers.remote_subscribers(name) for name in names} == {1}


async def test_a_process_is_killed(room: Room) -> None:
    """It is out of the figures after 6 seconds, and its clients are no longer present before 20."""
    a, b = await room.processes("a", "b")
    b.join("t")
    await room.time.pass_by(1)
    b.silence()
    await room.time.pass_by(5)
    assert (a.alive, a.take_heard()) == (["b"], [])
    await room.time.pass_by(2)
    assert (a.alive, a.take_heard()) == ([], [("left", "b")])
    assert a.peers.remote_subscribers("t") == 0
    assert a.peers.present == {"b"}
    await room.time.pass_by(10)
    assert a.take_heard() == []
    await room.time.pass_by(2)
    assert (a.peers.present, a.take_heard()) == (set(), [("gone", "b")])


async def test_a_process_hangs(room: Room) -> None:
    """One that comes back is counted again, although it has missed no number."""
    a, b = await room.processes("a", "b")
    b.join("t")
    await room.time.pass_by(1)
    timer, b.peers._timer = b.peers._timer, None
    assert timer is not None
    timer.cancel()
    await room.time.pass_by(8)
    assert (a.alive, a.take_heard()) == ([], [("left", "b")])
    b.peers._tick()
    await turns()
    assert (a.alive, a.take_heard()) == (["b"], [("joined", "b")])
    assert a.peers.remote_subscribers("t") == 1


async def test_a_process_stops(room: Room) -> None:
    """It is gone at once, and its last heartbeats were heard."""
    a, b = await room.processes("a", "b")
    b.join("t")
    b.peers.stop()
    b.messenger.stop()
    await turns()
    assert a.take_heard() == [("left", "b"), ("gone", "b")]
    assert (a.alive, a.peers.present, a.peers.remote_subscribers("t")) == ([], set(), 0)
    waiting = len(room.time.timers)
    await room.time.pass_by(5)
    assert (a.take_heard(), len(room.time.timers)) == ([], waiting)
    assert b.take_heard() == []


async def test_last_positions_of_a_process_that_stops(room: Room) -> None:
    """Its last heartbeat's positions are reported first, so that its last losses are noticed."""
    a, b = await room.processes("a", "b")
    late = await room.process("late")
    assert late.peers.present == set()  # nobody has greeted it yet
    a.take_heard()
    for each in (a, late):
        each.peers._on_positions = lambda *beat, each=each: each.heard.append(beat[:2])
    b.peers.stop()
    await turns()
    assert a.take_heard() == [("b", {7: 1}), ("left", "b"), ("gone", "b")]
    assert late.take_heard() == [("b", {7: 1}), ("gone", "b")]


async def test_this_process_is_cut_off(room: Room) -> None:
    """The others are left out of its figures, but their clients stay present for 20 seconds."""
    a, b = await room.processes("a", "b")
    a.relay.disconnect()
    await room.time.pass_by(19.25)
    assert (a.alive, a.take_heard()) == ([], [("left", "b")])
    b.join("t")
    assert b.take_heard() == [("left", "a"), ("gone", "a")]
    a.relay.connect()
    await room.time.pass_by(1.25)
    assert (a.alive, a.take_heard()) == (["b"], [("joined", "b")])
    assert a.peers.remote_subscribers("t") == 1
    assert b.take_heard() == [("joined", "a")]


async def test_this_process_stays_cut_off(room: Room) -> None:
    """In the end the clients of the others are no longer present."""
    a, _ = await room.processes("a", "b")
    a.relay.disconnect()
    await room.time.pass_by(23)
    assert (a.peers.present, a.take_heard()) == (set(), [("left", "b"), ("gone", "b")])


async def test_this_process_is_held_up(room: Room) -> None:
    """A process that was stopped itself does not take that for the silence of others."""
    a, b = await room.processes("a", "b")
    room.time.jump(30)
    a.peers._tick()
    assert (a.alive, a.take_heard()) == (["b"], [])
    b.silence()
    await room.time.pass_by(7)
    assert a.alive == []


async def test_start_without_the_network(room: Room) -> None:
    """The heartbeats begin, and are heard as soon as the network is there."""
    a = await room.process("a")
    b = Process(room, "b", ("t",))
    b.relay.disconnect()
    with pytest.raises(Unavailable):
        await b.peers.start()
    b.join("t")
    await room.time.pass_by(3)
    assert a.alive == []
    b.relay.connect()
    await b.start()
    await room.time.pass_by(1.25)
    assert (a.alive, b.alive) == (["b"], ["a"])
    assert a.peers.remote_subscribers("t") == 1


async def test_what_is_no_heartbeat(room: Room) -> None:
    """Bytes of another version of the program are ignored."""
    a, b = await room.processes("a", "b")
    b.relay.publish("beat", b"\xc1")
    b.relay.publish("beat", msgspec.msgpack.encode(["c", 1]))
    await turns()
    assert a.alive == ["b"]
