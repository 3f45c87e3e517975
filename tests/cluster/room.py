"""Processes of one room that know each other's figures, for the tests of figures and of REST."""

import dataclasses
from types import SimpleNamespace
from typing import Any

from pubsub.cluster.figures.answers import Answers
from pubsub.cluster.figures.figures import Figures
from pubsub.cluster.messenger.messenger import Messenger
from pubsub.cluster.peers.peers import Peers
from pubsub.core.client import Client
from pubsub.core.configuration import Configuration
from pubsub.core.publication import Position
from pubsub.core.shared import SharedBroker
from pubsub.protocol.codes import Close
from pubsub.registry import Registry
from pubsub.relay.errors import Unavailable
from pubsub.relay.memory import MemoryNetwork
from pubsub.turns import Turns
from tests.cluster.support import Time, connected_relay, turns
from tests.core.support import make_shared_broker


class FakeConnection:
    """A connection of a process without a socket."""

    session = None
    address = ""

    def __init__(self, process: "Process", client: Client) -> None:
        self.client = client
        self.closed_with: Any = None
        self._process = process

    def close(self, reason: Any) -> None:
        """Leave everything."""
        self.closed_with = reason
        self._process.broker.disconnect(self.client)
        self._process.registry.leave(self)  # type: ignore[arg-type]

    @property
    def was_kicked(self) -> bool:
        """Whether it was closed because an operator wanted that."""
        return self.closed_with is Close.FORCE_DISCONNECT


class Process:
    """A process with everything that figures need."""

    def __init__(
        self,
        room: "Room",
        name: str,
        *,
        broker: SharedBroker | None = None,
        registry: Registry | None = None,
        timers: Any = None,
        serves: bool = True,
    ) -> None:
        self.process_id = name
        self.relay = connected_relay(room.network)
        self.broker = broker or make_shared_broker()
        self.registry = Registry(Configuration()) if registry is None else registry
        self.positions: dict[str, Position] = {}
        call_later = timers or room.time.call_later
        self.messenger = Messenger(name, self.relay, call_later=call_later)
        self.peers = Peers(
            name,
            self.relay,
            self.messenger,
            self.broker,
            turns=Turns(),
            serves=serves,
            clock=room.time,
            call_later=room.time.call_later,
        )
        self.figures = Figures(
            name,
            self.messenger,
            self.peers,
            Answers(self.broker, self.registry, Turns()),
            turns=Turns(),
            is_connected=lambda: self.relay.is_connected,
            position=self._position,
            clock=room.time,
        )
        self.cluster = SimpleNamespace(figures=self.figures)

    async def _position(self, topic: str) -> Position | None:
        if topic not in self.positions:
            raise Unavailable("the network did not answer")
        return self.positions[topic]

    def install(self, *topics: str, **options: Any) -> None:
        """Create topics."""
        for topic in topics:
            given = dataclasses.replace(self.broker.options_for(topic), **options)
            self.broker.install(topic, given, "epoch")

    def connect(
        self, *topics: str, user: str | None = None, joined: int | None = None
    ) -> FakeConnection:
        """Connect a client with these subscriptions; ``joined`` must grow."""
        if joined is not None:
            self.broker._last_joined = joined - 1
        client = self.broker.connect(
            on_frames=lambda: None, on_full=lambda: None, on_overflow=lambda policy: None
        )
        connection = FakeConnection(self, client)
        self.registry.admit(connection)  # type: ignore[arg-type]
        self.registry.identify(connection, user)  # type: ignore[arg-type]
        for topic in topics:
            self.broker.subscribe(client, topic)
        return connection

    def be_silent(self) -> None:
        """Neither answer nor beat any longer, as a process that hangs."""
        self.relay.drops = 1_000_000


class Room:
    """Some processes of one room, and one clock for all of them."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.time = Time()
        self.processes: list[Process] = []

    async def add(self, name: str, **options: Any) -> Process:
        """Start a process."""
        process = Process(self, name, **options)
        self.processes.append(process)
        await process.messenger.start()
        await process.peers.start()
        await self.beat()
        return process

    async def beat(self) -> None:
        """Have all processes hear of each other."""
        for process in self.processes:
            process.peers.beat_now()
        await turns()
