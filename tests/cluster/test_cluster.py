"""The cluster puts its parts together, and knows when it has joined the others."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from pubsub.cluster.capacity import bytes_needed
from pubsub.cluster.cluster import Cluster
from pubsub.core.configuration import Configuration
from pubsub.logs import events
from pubsub.registry import Registry
from pubsub.relay.memory import MemoryNetwork
from tests.cluster.support import shared_broker, turns
from tests.cluster.topic_room import PATIENCE


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Return what is logged, by a log that has left out nothing so far."""
    events.event_log.cache_clear()
    caplog.set_level(logging.WARNING, "pubsub")
    return caplog


async def test_relay_that_takes_too_little(log: pytest.LogCaptureFixture) -> None:
    """A process whose messages are too large does not join, however often it tries; it logs it."""
    config = Configuration()
    process: Any = SimpleNamespace(
        process_id="0123456789abcdef",
        registry=Registry(config),
        recheck=lambda user: None,
    )
    relay = MemoryNetwork().relay()
    relay.max_bytes = bytes_needed(config) - 1
    cluster = Cluster(
        process,
        shared_broker(),
        relay,
        serves=True,
        at_end_of_tick=lambda callback: callback(),
    )
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
    async with asyncio.timeout(PATIENCE):
        while not cluster.is_ready:
            await turns()
    await cluster.stop()
