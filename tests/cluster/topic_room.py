"""Several processes of one room in one process, over a network in memory."""

import json
from collections.abc import Callable
from typing import Any

from pubsub.cluster.topics.topics import Topics
from pubsub.core.client import Client
from pubsub.relay.base import Snapshot
from pubsub.relay.memory import MemoryNetwork, MemoryRelay
from tests.cluster.support import shared_broker
from tests.core.support import join, read

PATIENCE = 60.0
"""Seconds until a change counts as of unknown fate, for tests in which none is."""


class Network(MemoryNetwork):
    """A network whose logs can be lost alone."""

    log_store = 1

    def relay(self) -> MemoryRelay:
        """Return the relay of one more process."""
        relay = _Relay(self)
        self.relays.append(relay)
        return relay


class _Relay(MemoryRelay):
    async def snapshot(self) -> Snapshot:
        """Return the registry, with the identity of the store of the logs."""
        snapshot = await super().snapshot()
        assert isinstance(self._network, Network)
        return snapshot._replace(log_store=f"{snapshot.log_store}-{self._network.log_store}")


class Process:
    """The broker and the topics of one process, which synchronizes after each connection."""

    def __init__(self, network: Network, *, patience: float = PATIENCE, **config: Any) -> None:
        self.broker = shared_broker(**config)
        self.relay = network.relay()
        self.begun: list[tuple[str, str]] = []
        self.logs: set[str] = set()
        """The epochs whose logs exist although the store of the logs was lost."""
        self.forgotten: list[tuple[str, str]] = []
        self.removed: list[str] = []
        self.begun_again: list[str] = []
        self.requested = 0
        self.before_log: Callable[[], None] = lambda: None
        self.topics = Topics(
            self.broker,
            self.relay,
            begin_log=self._begin_log,
            forget_log=self._forget_log,
            has_log=self._has_log,
            request_synchronization=self._request,
            on_removed=self.removed.append,
            on_begun_again=self.begun_again.append,
            patience=patience,
        )
        self.relay.start(self)

    async def _begin_log(self, name: str, epoch: str) -> None:
        self.before_log()
        self.begun.append((name, epoch))

    async def _has_log(self, name: str, epoch: str) -> bool:
        return epoch in self.logs

    async def _forget_log(self, name: str, epoch: str) -> None:
        self.forgotten.append((name, epoch))

    def _request(self) -> None:
        self.requested += 1

    def on_connected(self) -> None:
        """Do nothing: tests synchronize themselves."""

    def on_disconnected(self) -> None:
        """Lose the connection."""
        self.topics.on_disconnected()

    def on_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Receive a change."""
        self.topics.on_change(key, value, revision)

    async def connect(self) -> "Process":
        """Connect and synchronize."""
        self.relay.connect()
        await self.topics.synchronize()
        return self

    @property
    def names(self) -> list[str]:
        """The topics of the broker."""
        return list(self.broker.subscriber_counts())

    def subscribe(self, *topics: str) -> Client:
        """Connect a client that subscribes to topics."""
        return join(self.broker, *topics)


def notices(client: Client) -> list[tuple[str, str]]:
    """Return what a client was notified of: messages and topics."""
    found = [json.loads(text) for text in read(client)]
    return [(each["msg"], each["topic"]) for each in found]


async def processes(network: Network, count: int = 3, **config: Any) -> list[Process]:
    """Return some connected processes."""
    return [await Process(network, **config).connect() for _ in range(count)]
