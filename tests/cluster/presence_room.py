"""Several processes with one topic that has presence, for the tests of its members."""

import asyncio
from collections.abc import Callable

from pubsub.cluster.names import partition_of
from pubsub.cluster.presence.others import KIND
from pubsub.cluster.presence.presence import RemotePresence
from pubsub.core.client import Client
from pubsub.core.notices import Notice
from pubsub.core.options import TopicOptions
from pubsub.relay.errors import Unavailable
from pubsub.relay.memory import MemoryNetwork
from tests.clock import Clock
from tests.cluster.support import shared_broker, turns
from tests.core.presence_room import LINGER, names
from tests.core.support import join

TOPIC = "t"
CHANNEL = f"presence.{partition_of(TOPIC)}"


class Room:
    """Some processes with one topic that has presence, and a clock for all of them."""

    def __init__(self, count: int = 2, **config: object) -> None:
        self.network = MemoryNetwork()
        self.time = Clock()
        self.config = {"presence_linger": LINGER, **config}
        self.processes = [Process(self, str(number)) for number in range(count)]

    async def elapse(self, seconds: float) -> None:
        """Let time pass, and everything arrive."""
        self.time.elapse(seconds)
        await turns()


class Process:
    """One process."""

    def __init__(self, room: Room, name: str) -> None:
        self.room = room
        self.name = name
        self.questions = 0
        self.answers = True
        """Whether it answers questions, as long as it is connected."""
        self.before_answers: Callable[[], None] = lambda: None
        self.broker = shared_broker(clock=room.time, call_later=room.time.call_later, **room.config)
        self.relay = room.network.relay()
        self.relay.start(self)
        self.presence = RemotePresence(
            name,
            self.broker,
            self.relay,
            self.ask,
            is_present=self.is_present,
            call_later=room.time.call_later,
        )
        self.relay.is_connected = True
        self.broker.install(TOPIC, TopicOptions(presence=True), "")

    def is_present(self, name: str) -> bool:
        """Return whether a process has not left the room."""
        return any(each.name == name for each in self.room.processes)

    async def ask(self, kind: str, question: bytes) -> dict[str, bytes | None]:
        """Ask the other processes that are connected."""
        assert kind == KIND
        self.questions += 1
        await asyncio.sleep(0)
        if not self.relay.is_connected:
            raise Unavailable("not connected")
        others = [each for each in self.room.processes if each is not self]
        answers = {
            each.name: await each.presence.answer(question) if each.answers else None
            for each in others
            if each.relay.is_connected
        }
        self.before_answers()
        await asyncio.sleep(0)
        return answers

    def leave(self) -> None:
        """Leave the room; the other processes notice it at once."""
        self.room.processes.remove(self)
        self.relay.is_connected = False
        for each in self.room.processes:
            each.presence.drop_process(self.name)

    def on_connected(self) -> None:
        """Receive what was missed."""
        self.presence.on_connected()

    def on_disconnected(self) -> None:
        """Lose the connection."""

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Receive a change of the registry."""

    def join(self, user: str | None = None, info: bytes = b"{}") -> Client:
        """Subscribe a client of this user."""
        client = join(self.broker)
        self.broker.identify(client, user, info)
        self.broker.subscribe(client, TOPIC)
        return client

    @property
    def notice(self) -> Notice:
        """Who is there, as far as this process knows."""
        return self.broker.presence(TOPIC)

    @property
    def names(self) -> list[str]:
        """The members, as far as this process knows."""
        return sorted(names(self.notice))

    @property
    def counts(self) -> dict[str | None, int]:
        """The connections of each user."""
        assert self.notice.members is not None
        return {member.who.user: member.clients for member in self.notice.members}
