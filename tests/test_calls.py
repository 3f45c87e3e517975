"""What the project's own code can do, in the process that serves the clients and in others."""

import asyncio
import multiprocessing
from typing import Any

import pytest

import pubsub
from pubsub.core.options import Overflow
from pubsub.runtime import get_runtime


@pytest.fixture(autouse=True)
def new_runtime(settings: Any) -> None:
    """Give every test a new runtime, as in a new process."""
    settings.CHATROOM = {}


def options(name: str) -> tuple[Any, ...]:
    """Return the options of a topic."""
    found = get_runtime().broker.topic(name).options
    return found.history, found.history_seconds, found.presence, found.overflow


async def test_topics_on_the_event_loop() -> None:
    """On the event loop of the only process, topics are created and deleted at once."""
    get_runtime().enter()
    pubsub.create_topic("t", history=5, history_seconds=60.0, presence=True, overflow="drop_oldest")
    assert options("t") == (5, 60.0, True, Overflow.DROP_OLDEST)
    with pytest.raises(pubsub.TopicExists):
        pubsub.create_topic("t")
    pubsub.delete_topic("t")
    with pytest.raises(pubsub.TopicNotFound):
        pubsub.delete_topic("t")


async def test_topics_from_a_thread() -> None:
    """A thread waits for the event loop, and gets its results and errors."""
    get_runtime().enter()
    await asyncio.to_thread(pubsub.create_topic, "t")
    with pytest.raises(pubsub.TopicExists):
        await asyncio.to_thread(pubsub.create_topic, "t")
    with pytest.raises(pubsub.InvalidTopicName):
        await asyncio.to_thread(pubsub.create_topic, "no name")
    await asyncio.to_thread(pubsub.delete_topic, "t")


async def test_awaiting() -> None:
    """Everything can be awaited, on the event loop of the server and on another one."""

    async def use(name: str) -> int:
        await pubsub.acreate_topic(name, history=1)
        count = await pubsub.apublish(name, 1)
        await pubsub.apermissions_changed(42)
        await pubsub.adelete_topic(name)
        return count

    get_runtime().enter()
    assert await use("here") == 0
    assert await asyncio.to_thread(asyncio.run, use("elsewhere")) == 0
    statistics = get_runtime().broker.statistics()
    assert (statistics.messages, statistics.topics) == (2, 0)


@pytest.mark.parametrize(
    "given",
    [{"history": -1}, {"history": 1001}, {"overflow": "wait"}, {"history_seconds": 0}],
    ids=str,
)
async def test_invalid_options(given: dict[str, Any]) -> None:
    """Options that a client could not give either are refused."""
    get_runtime().enter()
    with pytest.raises(ValueError):  # noqa: PT011  # msgspec says what is wrong
        pubsub.create_topic("t", **given)


def test_without_a_server() -> None:
    """A process that serves nobody and has no relay can do nothing."""
    for call in (pubsub.create_topic, pubsub.delete_topic):
        with pytest.raises(pubsub.BrokerNotRunning):
            call("t")


async def test_child_of_the_server() -> None:
    """A forked child does not take the parent's event loop for its own."""
    get_runtime().enter().create_topic("t")
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_publish_nowhere)
    child.start()
    await asyncio.to_thread(child.join)
    assert child.exitcode == 0


def _publish_nowhere() -> None:
    try:
        pubsub.publish("t", 1)
    except pubsub.BrokerNotRunning:
        return
    raise AssertionError("the child reached a broker")
