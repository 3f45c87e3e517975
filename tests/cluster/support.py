"""What the tests of the cluster share: relays, brokers, and time for the event loop."""

import asyncio
from typing import Any

from pubsub.core.configuration import Configuration
from pubsub.core.shared import SharedBroker
from pubsub.protocol import replies
from pubsub.relay.memory import MemoryNetwork, MemoryRelay
from tests.clock import Clock

ARGUMENTS = ("clock", "call_later", "encode", "describe_loss")
"""Arguments of a broker that tests replace."""


async def turns(number: int = 30) -> None:
    """Let the event loop run until everything that was sent has arrived and was answered."""
    for _ in range(number):
        await asyncio.sleep(0)


class Time(Clock):
    """A clock for several processes in one event loop."""

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, with everything that is due meanwhile and that follows from it."""
        end = self.now + seconds
        await turns()
        while self.run_next(end):
            await turns()
        self.stand_at(end)


class Nobody:
    """A process that ignores what its relay reports."""

    def on_connected(self) -> None:
        """Ignore it."""

    def on_disconnected(self) -> None:
        """Ignore it."""

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Ignore it."""


def connected_relay(network: MemoryNetwork) -> MemoryRelay:
    """Return the connected relay of one more process."""
    relay = network.relay()
    relay.start(Nobody())
    relay.connect()
    return relay


def shared_broker(**more: Any) -> SharedBroker:
    """Return a broker with the replies of the server, these arguments and this configuration."""
    arguments = {name: more.pop(name) for name in ARGUMENTS if name in more}
    by_default: dict[str, Any] = {
        "encode": replies.encode_event,
        "encode_kept": replies.encode_event_with_offset,
        "describe_loss": replies.encode_loss,
        "describe_presence": replies.encode_presence,
    }
    return SharedBroker(Configuration(**more), **by_default | arguments)
