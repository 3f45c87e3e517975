"""Helpers for the tests of a connection: an in-memory transport and a runtime with clients."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pubsub.auth.access import Access
from pubsub.cluster.cluster import Cluster
from pubsub.connection.connection import Connection
from pubsub.core.configuration import Configuration
from pubsub.core.options import GivenOptions
from pubsub.core.publication import Frame
from pubsub.relay.memory import MemoryNetwork, MemoryRelay
from pubsub.runtime import Runtime
from pubsub.transport.base import Message, Other, Peer, Reason

UUID = "550e8400-e29b-41d4-a716-446655440000"

PATIENCE = 20.0
"""Seconds until a test fails that waits for something."""


class MemoryTransport:
    """A transport whose socket is a list and is full when a test says so."""

    kind = "websocket"

    def __init__(self) -> None:
        self.writable = True
        self.close_code = 1006
        self.close_reason: str | None = None
        self.reading = True
        self.broken = False
        self.closed_with: Reason | None = None
        self.batches: list[list[str]] = []
        self.input: deque[Message | Other] = deque()
        self.peer: Peer | None = None
        self._gone = asyncio.Event()

    def receive(self, *messages: Message | Other | dict[str, Any]) -> None:
        """Simulate the arrival of these messages, all at once."""
        self.input += [json.dumps(each) if isinstance(each, dict) else each for each in messages]
        assert self.peer is not None
        if self.reading:
            self.peer.on_readable()

    def end(self) -> None:
        """Simulate the arrival of a close frame."""
        assert self.peer is not None
        self.peer.on_end(self.lose)

    def drain(self) -> None:
        """Simulate a socket that has room again."""
        self.writable = True
        assert self.peer is not None
        self.peer.on_writable()

    def lose(self) -> None:
        """Simulate the loss of the connection."""
        assert self.peer is not None
        self.peer.on_lost()
        self._gone.set()

    @property
    def sent(self) -> list[Any]:
        """All messages written so far, decoded."""
        return [json.loads(text) for batch in self.batches for text in batch]

    # The methods that a connection calls.

    def next_message(self) -> Message | Other | None:
        """Return the next message."""
        return self.input.popleft() if self.input else None

    def write(self, frames: Sequence[Frame]) -> None:
        """Record the frames."""
        if self.broken:
            raise ZeroDivisionError("the transport has a bug")
        self.batches.append([frame.text for frame in frames])

    def pause_reading(self) -> None:
        """Stop delivering messages."""
        self.reading = False

    def resume_reading(self) -> None:
        """Deliver messages again."""
        self.reading = True

    def close(self, reason: Reason, last: Sequence[Frame] = ()) -> None:
        """Record the reason and the last frames."""
        assert self.closed_with is None
        if last:
            self.write(last)
        self.closed_with = reason
        self.close_code, self.close_reason = reason.code, reason.reason
        self._gone.set()

    async def serve(self, peer: Peer) -> None:
        """Wait until the connection is closed or lost."""
        self.peer = peer
        await self._gone.wait()

    async def wait_closed(self) -> None:
        """Wait until the connection is closed or lost."""
        await self._gone.wait()


class Room:
    """A runtime and the tasks that serve its connections."""

    def __init__(
        self, access: Access | None = None, relay: MemoryRelay | None = None, **config: Any
    ) -> None:
        config = {"auto_create_topics": True, **config}
        self.runtime = Runtime(Configuration(**config), access, relay)
        self.tasks: list[asyncio.Task[None]] = []

    async def connect(self, **credentials: Any) -> tuple[MemoryTransport, Connection]:
        """Connect a client, with these credentials from its handshake."""
        transport = MemoryTransport()
        connection = Connection(self.runtime, transport, address="10.0.0.1", **credentials)
        self.tasks.append(asyncio.create_task(connection.run()))
        await turn()
        return transport, connection

    async def close(self) -> None:
        """Cancel the connections, and leave the other processes if there are any."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        if self.runtime.cluster is not None:
            await self.runtime.cluster.stop()


@asynccontextmanager
async def open_room(access: Access | None = None, **config: Any) -> AsyncIterator[Room]:
    """Open a room, and cancel its connections at the end."""
    room = Room(access, **config)
    yield room
    await room.close()


class ClusterRoom(Room):
    """One process of a room that several share."""

    def __init__(self, network: MemoryNetwork, access: Access | None, **config: Any) -> None:
        self.relay = network.relay()
        super().__init__(access, self.relay, **config)
        self.runtime.enter()

    @property
    def cluster(self) -> Cluster:
        """The other processes, as this one sees them."""
        assert self.runtime.cluster is not None
        return self.runtime.cluster

    async def replace(self, name: str, other: "ClusterRoom", **options: Any) -> None:
        """Delete a topic, create it again, and wait until another process knows the new one."""
        former = other.runtime.broker.find(name)
        await self.cluster.delete_topic(name)
        await self.cluster.create_topic(name, GivenOptions(**options))
        await until(lambda: other.runtime.broker.find(name) not in (former, None))

    async def join(self) -> None:
        """Connect to the network, perhaps again, and wait until this process is ready."""
        self.relay.connect()
        await until(lambda: self.cluster.is_ready)


@asynccontextmanager
async def open_cluster(
    access: Access | None = None, *, joined: bool = True, **config: Any
) -> AsyncIterator[tuple[ClusterRoom, ClusterRoom]]:
    """Open a room of two processes over a network in memory, and close both at the end.

    Args:
        access: Who may do what in both of them.
        joined: Whether they are connected to each other already.
        config: The configuration of both of them.
    """
    network = MemoryNetwork()
    here, there = (ClusterRoom(network, access, **config) for _ in range(2))
    try:
        if joined:
            await here.join()
            await there.join()
        yield here, there
    finally:
        await here.close()
        await there.close()


async def turn() -> None:
    """Run the event loop until everything that is due has been done."""
    for _ in range(5):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Run the event loop until a condition holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # a network in memory has no event
            await asyncio.sleep(0)


def publication(topic: str = "t", payload: Any = 1, **more: Any) -> dict[str, Any]:
    """Return a publish command."""
    message = {"id": UUID, "payload": payload}
    return {"type": "publish", "topic": topic, "message": message, **more}
