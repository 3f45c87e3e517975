"""What the tests of a connection share: a transport in memory, and a room to connect it to."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pubsub.connection.connection import Connection
from pubsub.core.configuration import Configuration
from pubsub.core.publication import Frame
from pubsub.runtime import Runtime
from pubsub.transport.base import Message, Other, Peer, Reason

UUID = "550e8400-e29b-41d4-a716-446655440000"


class MemoryTransport:
    """A transport whose socket is a list, and is full when the test says so."""

    def __init__(self) -> None:
        self.writable = True
        self.close_code = 1006
        self.reading = True
        self.broken = False
        self.closed_with: Reason | None = None
        self.batches: list[list[str]] = []
        self.input: deque[Message | Other] = deque()
        self.peer: Peer | None = None
        self._gone = asyncio.Event()

    def receive(self, *messages: Message | Other | dict[str, Any]) -> None:
        """Let these arrive, all at once."""
        self.input += [json.dumps(each) if isinstance(each, dict) else each for each in messages]
        assert self.peer is not None
        if self.reading:
            self.peer.on_readable()

    def drain(self) -> None:
        """Let the socket take more."""
        self.writable = True
        assert self.peer is not None
        self.peer.on_writable()

    def lose(self) -> None:
        """Lose the connection."""
        assert self.peer is not None
        self.peer.on_lost()
        self._gone.set()

    @property
    def sent(self) -> list[Any]:
        """All messages that were written, decoded."""
        return [json.loads(text) for batch in self.batches for text in batch]

    # What a connection calls.

    def next_message(self) -> Message | Other | None:
        """Return the next message."""
        return self.input.popleft() if self.input else None

    def write(self, frames: Sequence[Frame]) -> None:
        """Take the frames."""
        if self.broken:
            raise ZeroDivisionError("the transport has a bug")
        self.batches.append([frame.text for frame in frames])

    def pause_reading(self) -> None:
        """Stop."""
        self.reading = False

    def resume_reading(self) -> None:
        """Go on."""
        self.reading = True

    def close(self, reason: Reason) -> None:
        """Take note of the reason."""
        assert self.closed_with is None
        self.closed_with = reason
        self.close_code = reason.code
        self._gone.set()

    async def serve(self, peer: Peer) -> None:
        """Serve until the connection is closed or lost."""
        self.peer = peer
        await self._gone.wait()

    async def wait_closed(self) -> None:
        """Wait for that."""
        await self._gone.wait()


class Room:
    """A runtime, and connections that tasks serve."""

    def __init__(self, **config: Any) -> None:
        self.runtime = Runtime(Configuration(**{"auto_create_topics": True, **config}))
        self.tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> tuple[MemoryTransport, Connection]:
        """Connect a client."""
        transport = MemoryTransport()
        connection = Connection(self.runtime, transport)
        self.tasks.append(asyncio.create_task(connection.run()))
        await turn()
        return transport, connection


@asynccontextmanager
async def open_room(**config: Any) -> AsyncIterator[Room]:
    """Open a room, and end its connections."""
    room = Room(**config)
    yield room
    for task in room.tasks:
        task.cancel()
    await asyncio.gather(*room.tasks, return_exceptions=True)


async def turn() -> None:
    """Let the event loop do all that is due, and what comes of it."""
    for _ in range(5):
        await asyncio.sleep(0)


def publication(topic: str = "t", payload: Any = 1, **more: Any) -> dict[str, Any]:
    """Return a command that publishes."""
    message = {"id": UUID, "payload": payload}
    return {"type": "publish", "topic": topic, "message": message, **more}
