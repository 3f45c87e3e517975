"""The runtime: ownership of the broker, and publishing without a server."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient, Client

import pubsub
from pubsub import runtime
from pubsub.auth.access import Access
from pubsub.auth.configuration import AccessConfiguration, Auth
from pubsub.core.configuration import Configuration
from pubsub.core.errors import BrokerNotRunning, TopicNotFound
from pubsub.relay.configuration import RelayConfiguration
from pubsub.runtime import Runtime, check_relay, get_runtime
from tests.auth.support import SECRET, token
from tests.connection.support import open_room, turn
from tests.connection.test_session import Authorizer, User
from tests.relay.server import NatsServer

PROJECT = Path(__file__).parents[1]


class Other(User):
    """Another user."""

    pk = 43


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


def test_permissions_without_a_server() -> None:
    """A process that serves no clients cannot check their permissions again."""
    with pytest.raises(BrokerNotRunning, match="call this in the one that does"):
        pubsub.permissions_changed(42)


@pytest.mark.parametrize("user", [User(), 42, "42"])
async def test_changed_permissions_of_one_user(user: Any) -> None:
    """Each connection of the user is checked again: not those of others, nor those with a token."""
    authorizer = Authorizer()
    access = Access(
        AccessConfiguration(auth=Auth.OPTIONAL, authorizer="tests.Authorizer", jwt_secret=SECRET),
        authorizer,
    )
    async with open_room(access) as room:
        mine = [await room.connect(user=User()) for _ in range(2)]
        others = [
            await room.connect(),
            await room.connect(user=Other()),
            await room.connect(token=token("42")),
        ]
        runtime._runtime = room.runtime
        pubsub.permissions_changed(user)
        await asyncio.to_thread(pubsub.permissions_changed, user)
        assert all(connection.session._rechecking for _, connection in mine)
        assert not any(connection.session._rechecking for _, connection in others)


async def test_changed_permissions_without_access_control() -> None:
    """Where everyone may do everything, there is nothing to check again."""
    async with open_room() as room:
        transport, _ = await room.connect()
        runtime._runtime = room.runtime
        pubsub.permissions_changed(42)
        transport.receive({"type": "ping"})
        await turn()
        assert [message["type"] for message in transport.sent] == ["pong"]


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


async def test_publishing_once() -> None:
    """A task that is retried publishes its message once."""
    broker = get_runtime().enter()
    broker.create_topic("t")
    message_id = "550e8400-e29b-41d4-a716-446655440000"
    for again in (message_id, message_id.upper()):
        pubsub.publish("t", 1, message_id=again, once=True)
    assert broker.statistics().messages == 1


def test_relay_that_takes_too_little() -> None:
    """A limit of messages above that of NATS is refused at the start, if NATS answers."""
    config = Configuration(max_message_bytes=100_000)
    with NatsServer("max_payload: 100000") as nats:
        relay = RelayConfiguration(relay=nats.url)
        with pytest.raises(ValueError, match="CHATROOM_MAX_MESSAGE_BYTES is too large"):
            check_relay(relay, config)
        check_relay(relay, Configuration(max_message_bytes=90_000))
    check_relay(relay, config)
    check_relay(RelayConfiguration(), config)


def test_relay_that_takes_just_enough() -> None:
    """NATS has to take as much more than the limit of messages as docs/operations.md says."""
    page = (PROJECT / "docs/operations.md").read_text()
    found = re.search(r"`max_payload` \| at least (\d+) KiB more than `CHATROOM_MAX_MESSAGE", page)
    assert found is not None
    largest = 100_000 - int(found[1]) * 1024
    with NatsServer("max_payload: 100000") as nats:
        relay = RelayConfiguration(relay=nats.url)
        check_relay(relay, Configuration(max_message_bytes=largest))
        with pytest.raises(ValueError, match="CHATROOM_MAX_MESSAGE_BYTES is too large"):
            check_relay(relay, Configuration(max_message_bytes=largest + 1))
