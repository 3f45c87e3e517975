"""A process that uses a relay, and the two networks that relays of a test can have."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol
from uuid import uuid4

from pubsub.relay.base import Entry, Relay
from pubsub.relay.configuration import RelayConfiguration
from pubsub.relay.memory import MemoryNetwork
from pubsub.relay.nats import NatsRelay
from pubsub.relay.nats_connection import Timings
from tests.live.waiting import PATIENCE
from tests.relay.nats_cluster import NatsCluster
from tests.relay.server import NatsServer

PATIENT = Timings(connect=PATIENCE, first_pause=0.01, max_pause=0.05, ping_timeout=PATIENCE)
"""On a busy machine no connection is lost, unless it is closed."""

QUICK = Timings(connect=1, first_pause=0.01, max_pause=0.05, ping_interval=0.1, ping_timeout=2)
"""A server that hangs is noticed soon."""


async def poll(condition: Callable[[], object]) -> None:
    """Wait for something that nothing announces."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


class Process:
    """What one process gets from its relay, in order."""

    def __init__(self, relay: Any) -> None:
        self.relay = relay
        self.connections = 0
        self.disconnections = 0
        self.changes: list[tuple[str, bytes | None, int]] = []
        self.messages: list[bytes] = []
        self.entries: list[tuple[str, int, bytes, int]] = []
        self._news = asyncio.Event()

    def on_connected(self) -> None:
        """Note a connection."""
        self.connections += 1
        self._news.set()

    def on_disconnected(self) -> None:
        """Note a disconnection."""
        self.disconnections += 1
        self._news.set()

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Note a change of the registry."""
        self.changes.append((key, value, revision))
        self._news.set()

    def on_message(self, data: bytes) -> None:
        """Note a message of a channel."""
        self.messages.append(data)
        self._news.set()

    def on_entry(self, log: str, entry: Entry, previous: int) -> None:
        """Note an entry of a log."""
        self.entries.append((log, *entry, previous))
        self._news.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until what was noted meets a condition."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._news.clear()
                await self._news.wait()


class Network(Protocol):
    """Makes relays of the same room."""

    def relay(self) -> Relay:
        """Return the relay of one more process."""


class NatsNetwork:
    """Relays of a room of their own on a NATS server, or a cluster of them."""

    def __init__(
        self, server: NatsServer | NatsCluster, timings: Timings = PATIENT, **settings: Any
    ) -> None:
        self.config = RelayConfiguration(
            **{"relay": server.url, "relay_name": f"test-{uuid4().hex[:12]}", **settings}
        )
        self.timings = timings

    def relay(self, **options: Any) -> NatsRelay:
        """Return the relay of one more process."""
        return NatsRelay(
            self.config,
            **{"history_bytes": 1 << 24, "once_seconds": 60, "timings": self.timings, **options},
        )


@asynccontextmanager
async def process(relay: Any) -> AsyncIterator[Process]:
    """Start a relay, and stop it at the end."""
    one = Process(relay)
    relay.start(one)
    try:
        yield one
    finally:
        await relay.stop()


@asynccontextmanager
async def connected(network: Network) -> AsyncIterator[Process]:
    """Run a process that is connected and has read the registry."""
    relay = network.relay()
    async with process(relay) as one:
        if isinstance(network, MemoryNetwork):
            relay.connect()
        await one.until(lambda: one.connections)
        await relay.snapshot()
        yield one
