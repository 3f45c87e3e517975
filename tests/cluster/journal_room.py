"""Several processes of one room in one event loop, for the tests of topics with history."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from msgspec import Raw

from pubsub.cluster.journals.journals import Journals
from pubsub.cluster.names import log_of
from pubsub.core.broker import Broker
from pubsub.core.client import Client
from pubsub.core.configuration import Configuration
from pubsub.core.options import TopicOptions
from pubsub.core.publication import Publication
from pubsub.core.topic import Recover, Subscribed
from pubsub.protocol import replies
from pubsub.relay.memory import MemoryNetwork, MemoryRelay
from pubsub.turns import Turns
from tests.core.support import read

UUID = "0b7e6a52-5d3c-4b8e-9f51-2c8f6f3f9a10"
EPOCH = "epoch001"


class Clock:
    """A clock that tests set, with the timers that it has to ring."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, Ring]] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def call_later(self, delay: float, callback: Callable[[], None]) -> "Ring":
        """Call a function when `advance` has come so far."""
        ring = Ring(callback)
        self._timers.append((self.now + delay, ring))
        return ring

    @property
    def timers(self) -> int:
        """The number of timers that have not rung."""
        return len(self._timers)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        due = [ring for when, ring in self._timers if when <= self.now]
        self._timers = [(when, ring) for when, ring in self._timers if when > self.now]
        for ring in due:
            ring()


class Ring:
    """A timer that can be cancelled."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def __call__(self) -> None:
        """Do what is due."""
        if self._callback is not None:
            self._callback()

    def cancel(self) -> None:
        """Call nothing."""
        self._callback = None


class Nobody:
    """A handler of a relay that ignores everything."""

    def on_connected(self) -> None:
        """Ignore it."""

    def on_disconnected(self) -> None:
        """Ignore it."""

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Ignore it."""


class Process:
    """One process: a broker, a relay, and topics with history."""

    def __init__(self, network: MemoryNetwork, **config: Any) -> None:
        self.clock = Clock()
        self.broker = Broker(
            Configuration(**config),
            encode=replies.encode_event,
            describe_loss=replies.encode_loss,
            describe_presence=replies.encode_presence,
            shared=True,
            clock=self.clock,
        )
        self.relay: MemoryRelay = network.relay()
        self.relay.start(Nobody())
        self.relay.connect()
        self.gaps: list[tuple[str, int]] = []
        self.lost: list[str] = []
        self.journals = Journals(
            self.broker,
            self.relay,
            turns=Turns(),
            subscribers=lambda name, publisher_id: 7,
            tell_gap=lambda name, at_most: self.gaps.append((name, at_most)),
            on_lost=self.lost.append,
            clock=self.clock,
            wall_clock=lambda: 1_000_000.0 + self.clock.now,
            call_later=self.clock.call_later,
        )

    async def join(self, name: str = "t", **options: Any) -> Client:
        """Connect a client, and subscribe it."""
        await self.journals.open(name)
        client = self.client()
        self.broker.subscribe(client, name, **options)
        return client

    async def recover(self, name: str, since: Any, client_id: str | None = None) -> Any:
        """Subscribe a client that comes back, and return it with what it begins with."""
        await self.journals.catch_up(name)
        client = self.client()
        subscribed: Subscribed = self.broker.subscribe(
            client, name, recover=Recover(since, client_id)
        )
        if subscribed.replay is not None:
            client.outbox.put_replay(subscribed.replay)
        return client, subscribed

    def client(self) -> Client:
        """Connect a client."""
        return self.broker.connect(
            on_frames=lambda: None, on_full=lambda: None, on_overflow=lambda policy: None
        )

    async def publish(self, payload: object, name: str = "t", **more: Any) -> Publication:
        """Publish a message."""
        text = Raw(json.dumps(payload).encode())
        return await self.journals.publish(name, more.pop("message_id", UUID), text, **more)


class Room:
    """Some processes with the topic ``t``."""

    def __init__(self, processes: int = 2, **config: Any) -> None:
        self.network = MemoryNetwork()
        self.processes = [Process(self.network, **config) for _ in range(processes)]

    async def create(self, name: str = "t", history: int = 10, **options: Any) -> None:
        """Create a topic everywhere."""
        await self.processes[0].journals.begin(name, EPOCH)
        for process in self.processes:
            process.broker.install(name, TopicOptions(history=history, **options), EPOCH)

    async def begin_again(self, epoch: str, name: str = "t", notice: str = "t") -> None:
        """Give a topic a new epoch everywhere; subscribers get a notice that says ``notice``."""
        await self.processes[0].journals.begin(name, epoch)
        for process in self.processes:
            process.broker.begin_again(name, epoch, replies.encode_topic_deleted(notice))
            process.journals.on_begun_again(name)

    def evict(self, keep: int, name: str = "t", epoch: str = EPOCH) -> None:
        """Let a log lose its oldest entries."""
        entries = self.network.logs[log_of(name, epoch)]
        del entries[: len(entries) - keep]


async def make_room(processes: int = 2, **options: Any) -> Room:
    """Return a room with the topic ``t``, whose history has 10 messages unless they are given."""
    room = Room(processes)
    await room.create(**options)
    return room


async def settle(turns: int = 50) -> None:
    """Let everything arrive; it takes a fixed number of turns of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)


def events(client: Client) -> list[Any]:
    """Take what is queued for a client: payloads of events, types of other frames."""
    frames = [json.loads(text) for text in read(client)]
    return [
        frame["message"]["payload"] if frame["type"] == "event" else frame["type"]
        for frame in frames
    ]
