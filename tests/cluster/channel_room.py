"""Several processes in one event loop, the channels between them, and time that a test moves."""

import asyncio
import json
from itertools import count
from typing import Any

from pubsub.cluster.channels.channels import Channels
from pubsub.cluster.channels.sent import SentLog
from pubsub.cluster.names import partition_of
from pubsub.core.client import Client
from pubsub.core.options import TopicOptions
from pubsub.relay.memory import MemoryNetwork
from tests.cluster.support import Time, shared_broker, turns
from tests.core.support import describe_loss, encode, read

MESSAGE_ID = "550e8400-e29b-41d4-a716-446655440000"


class Process:
    """One process: a broker, a relay and its channels."""

    def __init__(self, room: "Room", name: str, **options: Any) -> None:
        self.room = room
        self.id = name * 16
        self.started = room.time()
        self.relay = room.network.relay()
        self.broker = shared_broker(
            encode=encode,
            describe_loss=describe_loss,
            clock=room.time,
            call_later=room.time.call_later,
            **options.pop("config", {}),
        )
        self.channels = Channels(
            self.id,
            self.broker,
            self.relay,
            ask=self._ask,
            ask_positions=self._ask_positions,
            at_end_of_tick=lambda callback: asyncio.get_running_loop().call_soon(callback) and None,
            clock=room.time,
            call_later=room.time.call_later,
            **options,
        )
        self.broker.announce_to(self.channels.publish)
        self.asked: list[tuple[str, int, int, int]] = []
        self.answers = True
        self.alive = True
        self.relay.start(self)

    def on_connected(self) -> None:
        """Send a heartbeat at once, behind what the channels send."""
        self.channels.on_connected()
        asyncio.get_running_loop().call_soon(self.room.beat)

    def on_disconnected(self) -> None:
        """Go on alone."""

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Ignore the registry: topics are installed by the test."""

    def reaches(self, other: "Process") -> bool:
        """Return whether both are there."""
        both = self.relay.is_connected and other.relay.is_connected
        return both and other.alive and other.answers

    async def _ask(
        self, process_id: str, partition: int, first: int, last: int
    ) -> dict[str, int] | None:
        self.asked.append((process_id, partition, first, last))
        await asyncio.sleep(0)
        other = self.room.processes[process_id]
        return other.channels.count(partition, first, last) if self.reaches(other) else None

    async def _ask_positions(self, partition: int) -> dict[str, int]:
        await asyncio.sleep(0)
        others = [other for other in self.room.processes.values() if other is not self]
        return {
            other.id: other.channels.position(partition) for other in others if self.reaches(other)
        }

    async def join(self, *topics: str) -> Client:
        """Connect a client, and subscribe it as a command does."""
        client = self.broker.connect(
            on_frames=lambda: None, on_full=lambda: None, on_overflow=lambda policy: None
        )
        for topic in topics:
            await self.channels.want(topic)
            self.broker.subscribe(client, topic)
        return client

    def publish(self, topic: str, *payloads: str, publisher: Client | None = None) -> None:
        """Publish messages in this tick."""
        for payload in payloads:
            self.broker.publish(topic, MESSAGE_ID, payload, publisher=publisher)

    async def publish_each(self, topic: str, *payloads: str) -> None:
        """Publish messages, each in a tick of its own."""
        for payload in payloads:
            self.publish(topic, payload)
            await turns()


class Room:
    """Some processes and the network between them; all have the same topics."""

    def __init__(self, *topics: str) -> None:
        self.network = MemoryNetwork()
        self.time = Time(tick=1e-6)
        self.processes: dict[str, Process] = {}
        self.topics = topics or ("t",)
        self._names = iter("abcdef")
        self._epochs = count()

    async def start(self, **options: Any) -> Process:
        """Start one more process, which all others hear of."""
        process = Process(self, next(self._names), **options)
        self.processes[process.id] = process
        for topic in self.topics:
            process.broker.install(topic, TopicOptions(), f"epoch{next(self._epochs)}")
        process.relay.connect()
        await turns()
        return process

    def beat(self) -> None:
        """Let the heartbeats of all processes arrive at all others."""
        for process in self.processes.values():
            self.beat_of(process)

    def beat_of(self, process: Process) -> None:
        """Let a heartbeat of one process arrive at all others."""
        positions = process.channels.positions()
        for other in self.processes.values():
            if other is not process and other.reaches(process):
                uptime = self.time() - process.started
                other.channels.on_positions(process.id, positions, uptime=uptime)

    async def pass_by(self, seconds: float) -> None:
        """Let whole seconds pass, with a heartbeat of every process in each."""
        for _ in range(round(seconds)):
            self.beat()
            await self.time.pass_by(1.0)
            await turns()


def told(client: Client) -> list[str]:
    """Read everything that waits for a client, with notices of losses in short."""
    return [_in_short(text) for text in read(client)]


def _in_short(text: str) -> str:
    if not text.startswith("{"):
        return text
    notice = json.loads(text)
    assert notice["error"]["code"] == "RELAY_GAP"
    if "dropped" in notice:
        return f"{notice['topic']} lost {notice['dropped']}"
    return f"{notice['topic']} lost at most {notice['at_most']}"


def of_one_partition(number: int, partition: int = 7) -> list[str]:
    """Return the names of some topics of one partition."""
    names = (f"t{index}" for index in count())
    found = (name for name in names if partition_of(name) == partition)
    return [next(found) for _ in range(number)]


def small_log(per_partition: int) -> SentLog:
    """Return a log that soon forgets."""
    return SentLog(per_partition)
