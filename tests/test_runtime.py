"""The runtime: ownership of the broker, and publishing without a server."""

import asyncio

import pytest
from django.test import AsyncClient, Client

import pubsub
from pubsub.core.configuration import Configuration
from pubsub.core.errors import BrokerNotRunning, TopicNotFound
from pubsub.runtime import Runtime, get_runtime


@pytest.fixture(autouse=True)
def new_runtime(settings: pytest.FixtureRequest) -> None:
    """Give every test a new runtime, as in a new process."""
    settings.CHATROOM = {}


def test_publishing_without_a_server() -> None:
    """Publishing where no server runs, as in a shell or a worker, is refused."""
    with pytest.raises(BrokerNotRunning):
        pubsub.publish("t", 1)


def test_publishing_after_the_server_has_stopped() -> None:
    """Publishing is refused once the server's event loop is closed."""

    async def serve() -> None:
        get_runtime().enter().create_topic("t")

    asyncio.run(serve())
    with pytest.raises(BrokerNotRunning):
        pubsub.publish("t", 1)


async def test_publishing_in_the_event_loop() -> None:
    """Publishing in the event loop takes effect at once."""
    broker = get_runtime().enter()
    broker.create_topic("t")
    assert pubsub.publish("t", {"a": 1}) == 0
    assert broker.statistics().messages == 1


async def test_publishing_from_a_thread() -> None:
    """Publishing from a thread waits for the event loop and gets its result or error."""
    get_runtime().enter().create_topic("t")
    assert await asyncio.to_thread(pubsub.publish, "t", 1) == 0
    with pytest.raises(TopicNotFound):
        await asyncio.to_thread(pubsub.publish, "missing", 1)


async def test_invalid_arguments() -> None:
    """An invalid message id or payload is refused before anything is published."""
    get_runtime().enter().create_topic("t")
    with pytest.raises(ValueError, match="message_id"):
        pubsub.publish("t", 1, message_id="x")
    with pytest.raises(TypeError):
        pubsub.publish("t", object())
    assert get_runtime().broker.statistics().messages == 0


def test_broker_follows_the_running_event_loop() -> None:
    """When the loop that owned the broker is closed, the next loop takes over its topics."""
    runtime = Runtime(Configuration())

    async def use(name: str) -> list[str]:
        runtime.enter().create_topic(name)
        return list(runtime.broker.subscriber_counts())

    assert asyncio.run(use("a")) == ["a"]
    assert asyncio.run(use("b")) == ["a", "b"]


def test_django_test_client() -> None:
    """Topics survive the separate event loops of the test client's requests."""
    client = Client()
    answer = client.post("/topics", {"name": "t"}, content_type="application/json")
    assert answer.status_code == 201
    assert client.get("/topics").json() == {"topics": [{"name": "t", "subscribers": 0}]}
    assert client.get("/nope").json()["error"]["code"] == "NOT_FOUND"


async def test_django_async_test_client() -> None:
    """Requests of the asynchronous test client share one event loop and one broker."""
    client = AsyncClient()
    answer = await client.post("/topics", {"name": "t"}, content_type="application/json")
    assert answer.status_code == 201
    assert (await client.get("/health")).json()["topics"] == 1
