"""The cluster puts its parts together, and knows when it has joined the others."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from pubsub.cluster import synchronization
from pubsub.cluster.capacity import bytes_needed
from pubsub.cluster.cluster import Cluster
from pubsub.cluster.names import key_of
from pubsub.cluster.topics.records import Record, encode
from pubsub.core.configuration import Configuration
from pubsub.core.errors import TopicExists
from pubsub.core.options import TopicOptions
from pubsub.logs import events
from pubsub.registry import Registry
from pubsub.relay.base import Snapshot
from pubsub.relay.errors import Unavailable
from pubsub.relay.memory import MemoryNetwork, MemoryRelay
from tests.cluster.support import shared_broker, turns
from tests.cluster.topic_room import PATIENCE


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what is logged, by a log that has left out nothing so far."""
    events.event_log.cache_clear()
    caplog.set_level(logging.WARNING, "pubsub")
    return caplog


class Relay(MemoryRelay):
    """A relay that does not give the registry while it refuses."""

    refuses = False

    async def snapshot(self) -> Snapshot:
        """Return the registry."""
        snapshot = await super().snapshot()
        if self.refuses:
            raise Unavailable("no leader")
        return snapshot


def make_cluster(relay: MemoryRelay) -> Cluster:
    """Return a process that is not started."""
    process: Any = SimpleNamespace(
        process_id="0123456789abcdef",
        registry=Registry(Configuration()),
        recheck=lambda user: None,
    )
    return Cluster(
        process,
        shared_broker(),
        relay,
        serves=True,
        at_end_of_tick=lambda callback: callback(),
    )


def create_elsewhere(network: MemoryNetwork, name: str) -> None:
    """Create a topic as another process does."""
    network.change(key_of(name), encode(Record(name, TopicOptions(), "epoch")))


async def until_ready(cluster: Cluster) -> None:
    """Wait until a process has joined the others."""
    async with asyncio.timeout(PATIENCE):
        while not cluster.is_ready:
            await turns()


async def test_relay_that_takes_too_little(log: pytest.LogCaptureFixture) -> None:
    """A process whose messages are too large does not join, however often it tries; it logs it."""
    relay = MemoryNetwork().relay()
    relay.max_bytes = bytes_needed(Configuration()) - 1
    cluster = make_cluster(relay)
    cluster.start()
    for _ in range(3):
        relay.connect()
        await turns()
        relay.disconnect()
        await turns()
    assert not cluster.is_ready
    assert len(log.messages) == 1
    assert "relay_too_small" in log.messages[0]
    relay.max_bytes += 1
    relay.connect()
    await until_ready(cluster)
    await cluster.stop()


async def test_a_process_that_has_missed_a_change_of_the_topics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is not ready until it knows all topics again; its figures stay those of the room."""
    monkeypatch.setattr(synchronization, "RETRY", 0.0)
    network = MemoryNetwork()
    relay = Relay(network)
    network.relays.append(relay)
    cluster = make_cluster(relay)
    cluster.start()
    relay.connect()
    await until_ready(cluster)
    relay.is_connected = False
    create_elsewhere(network, "missed")
    relay.is_connected = relay.refuses = True
    create_elsewhere(network, "noticed")
    await turns()
    assert not cluster.is_ready
    assert cluster.figures.inquire().is_complete
    creation = asyncio.ensure_future(cluster.create_topic("missed"))
    await turns()
    assert not creation.done()
    relay.refuses = False
    with pytest.raises(TopicExists):
        await creation
    assert cluster.is_ready
    assert sorted(cluster.broker.subscriber_counts()) == ["missed", "noticed"]
    relay.disconnect()
    assert not cluster.figures.inquire().is_complete
    await cluster.stop()
