"""The runtime: who owns the broker, and publishing without a server."""

import asyncio

import pytest
from django.test import AsyncClient, Client

import pubsub
from pubsub.core.configuration import Configuration
from pubsub.core.errors import BrokerNotRunning, TopicNotFound
from pubsub.runtime import Runtime, get_runtime


@pytest.fixture(autouse=True)
def new_runtime(settings: pytest.FixtureRequest) -> None:
    """Every test has a process of its own, as far as the runtime can tell."""
    settings.CHATROOM = {}


def test_publishing_where_nothing_is_served() -> None:
    """As in a shell or a worker: there can be no subscribers."""
    with pytest.raises(BrokerNotRunning):
        pubsub.publish("t", 1)


def test_publishing_after_the_server_has_gone() -> None:
    """Its event loop is closed."""

    async def serve() -> None:
        get_runtime().enter().create_topic("t")

    asyncio.run(serve())
    with pytest.raises(BrokerNotRunning):
        pubsub.publish("t", 1)


async def test_publishing_in_the_event_loop() -> None:
    """At once, without waiting for anything."""
    broker = get_runtime().enter()
    broker.create_topic("t")
    assert pubsub.publish("t", {"a": 1}) == 0
    assert broker.statistics().messages == 1


async def test_publishing_from_a_thread() -> None:
    """It waits for the event loop, and gets the result or the error."""
    get_runtime().enter().create_topic("t")
    assert await asyncio.to_thread(pubsub.publish, "t", 1) == 0
    with pytest.raises(TopicNotFound):
        await asyncio.to_thread(pubsub.publish, "missing", 1)


async def test_bad_arguments_are_refused_before_anything_happens() -> None:
    """A message id that is none, a payload that JSON has no form for."""
    get_runtime().enter().create_topic("t")
    with pytest.raises(ValueError, match="message_id"):
        pubsub.publish("t", 1, message_id="x")
    with pytest.raises(TypeError):
        pubsub.publish("t", object())
    assert get_runtime().broker.statistics().messages == 0


def test_broker_follows_the_running_event_loop() -> None:
    """When the loop that owned it is closed, the next one takes over, with the topics."""
    runtime = Runtime(Configuration())

    async def use(name: str) -> list[str]:
        runtime.enter().create_topic(name)
        return list(runtime.broker.subscriber_counts())

    assert asyncio.run(use("a")) == ["a"]
    assert asyncio.run(use("b")) == ["a", "b"]


def test_django_test_client() -> None:
    """Each of its requests brings an event loop of its own; the topics stay."""
    client = Client()
    answer = client.post("/topics", {"name": "t"}, content_type="application/json")
    assert answer.status_code == 201
    assert client.get("/topics").json() == {"topics": [{"name": "t", "subscribers": 0}]}
    assert client.get("/nope").json()["error"]["code"] == "NOT_FOUND"


async def test_django_async_test_client() -> None:
    """All in one event loop."""
    client = AsyncClient()
    answer = await client.post("/topics", {"name": "t"}, content_type="application/json")
    assert answer.status_code == 201
    assert (await client.get("/health")).json()["topics"] == 1
