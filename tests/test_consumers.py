"""The consumer: what a Channels application may do with it."""

import asyncio
from typing import Any

import pytest
from channels.exceptions import AcceptConnection, DenyConnection
from channels.testing import WebsocketCommunicator

from pubsub.consumers import ChatConsumer
from pubsub.core.configuration import Configuration
from pubsub.runtime import Runtime

UUID = "550e8400-e29b-41d4-a716-446655440000"


def make_runtime() -> Runtime:
    """Return a runtime whose topics are created on demand."""
    return Runtime(Configuration(auto_create_topics=True))


def open_socket(
    runtime: Runtime, consumer: type[ChatConsumer] = ChatConsumer, **options: Any
) -> WebsocketCommunicator:
    """Return a communicator for a consumer that serves this runtime."""
    return WebsocketCommunicator(consumer.as_asgi(runtime=runtime), "/ws", **options)


async def ask(socket: WebsocketCommunicator, **message: Any) -> Any:
    """Send a message and return the answer."""
    await socket.send_json_to(message)
    return await socket.receive_json_from()


async def test_conversation() -> None:
    """Clients can subscribe, publish and leave through the communicator of channels.testing."""
    runtime = make_runtime()
    alice, bob = open_socket(runtime), open_socket(runtime)
    await alice.connect()
    await bob.connect()
    assert (await ask(bob, type="subscribe", topic="t"))["type"] == "ack"
    message = {"id": UUID, "payload": [1]}
    assert (await ask(alice, type="publish", topic="t", message=message))["type"] == "ack"
    event = await bob.receive_json_from()
    assert (event["type"], event["message"]) == ("event", message)
    await bob.disconnect()
    assert runtime.broker.subscriber_counts() == {"t": 0}
    await alice.disconnect()
    assert runtime.broker.client_count == 0


async def test_cancelled_connection_leaves_every_topic() -> None:
    """Cancelling the application's task ends its subscriptions."""
    runtime = make_runtime()
    socket = open_socket(runtime)
    await socket.connect()
    await ask(socket, type="subscribe", topic="t")
    socket.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await socket.future
    assert runtime.broker.subscriptions() == {}


async def test_messages_after_the_connection_is_lost_are_ignored() -> None:
    """A message that arrives after the connection is lost does not subscribe the client."""
    runtime = make_runtime()
    consumer = ChatConsumer(runtime)
    messages = iter(
        [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": '{"type":"subscribe","topic":"before"}'},
            {"type": "websocket.receive", "text": '{"type":"subscribe","topic":"after"}'},
            {"type": "websocket.disconnect", "code": 1000},
        ]
    )

    async def receive() -> dict[str, Any]:
        message = next(messages)
        if "after" in str(message):
            assert list(runtime.broker.subscriptions().values()) == [["before"]]
            assert consumer.connection is not None
            consumer.connection.on_lost()
        return message

    async def send(message: dict[str, Any]) -> None:
        """Accept and discard the message."""

    await consumer({"type": "websocket"}, receive, send)
    assert runtime.broker.subscriber_counts() == {"before": 0}


# --- The handshake ---


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [([], None), (["chatroom.v1"], "chatroom.v1"), (["a", "chatroom.v1"], "chatroom.v1")],
)
async def test_subprotocol(offered: list[str], chosen: str | None) -> None:
    """`chatroom.v1` is selected if it is offered, and no subprotocol otherwise."""
    socket = open_socket(make_runtime(), subprotocols=offered)
    assert await socket.connect() == (True, chosen)
    await socket.disconnect()


class Connecting(ChatConsumer):
    """A consumer that handles the handshake in its own way."""

    async def connect(self) -> None:
        """Do what the first subprotocol names."""
        match self.scope["subprotocols"]:
            case ["raise accept"]:
                raise AcceptConnection
            case ["raise deny"]:
                raise DenyConnection
            case ["close"]:
                await self.close()
            case ["headers"]:
                await self.accept(headers=[(b"x", b"y")])
            case ["send"]:
                await self.send("too early")


@pytest.mark.parametrize("way", ["raise deny", "close"])
async def test_subclass_may_deny(way: str) -> None:
    """A subclass may deny the handshake, and no client is created then."""
    runtime = make_runtime()
    socket = open_socket(runtime, Connecting, subprotocols=[way])
    assert (await socket.connect())[0] is False
    await socket.wait()
    assert runtime.broker.client_count == 0


async def test_subclass_may_accept_with_the_exception_of_channels() -> None:
    """Raising `AcceptConnection` accepts the handshake, like calling `accept`."""
    socket = open_socket(make_runtime(), Connecting, subprotocols=["raise accept"])
    assert (await socket.connect())[0] is True
    assert (await ask(socket, type="ping"))["type"] == "pong"
    await socket.disconnect()


@pytest.mark.parametrize(("way", "message"), [("headers", "headers"), ("send", "accepted")])
async def test_unsupported_calls_in_the_handshake(way: str, message: str) -> None:
    """Unsupported calls during the handshake raise an error."""
    socket = open_socket(make_runtime(), Connecting, subprotocols=[way])
    with pytest.raises(ValueError, match=message):
        await socket.connect()


class Failing(ChatConsumer):
    """A consumer whose `connect` fails once the client is accepted."""

    error: BaseException

    async def connect(self) -> None:
        """Accept, and raise the exception that a test has chosen."""
        await super().connect()
        raise self.error


@pytest.mark.parametrize("error", [ZeroDivisionError(), asyncio.CancelledError()])
async def test_subclass_that_fails_after_it_has_accepted(error: BaseException) -> None:
    """The client is closed with 1011 and leaves the broker, and the server gets the exception."""
    runtime = make_runtime()
    consumer = Failing(runtime)
    consumer.error = error
    sent: list[dict[str, Any]] = []
    closed = asyncio.Event()

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "websocket.close":
            closed.set()

    with pytest.raises(type(error)):
        await consumer({"type": "websocket"}, receive, send)
    assert runtime.broker.client_count == 0
    async with asyncio.timeout(10):
        await closed.wait()
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[1]["code"] == 1011


# --- After the handshake ---


class Own(ChatConsumer):
    """A consumer that a test can access."""

    latest: "Own"
    code: int | None = None

    async def connect(self) -> None:
        """Keep a reference to the consumer, and accept."""
        Own.latest = self
        await super().connect()

    async def disconnect(self, code: int) -> None:
        """Record the code."""
        self.code = code


async def test_subclass_learns_of_the_end() -> None:
    """A subclass's `disconnect` is called with the close code."""
    socket = open_socket(make_runtime(), Own)
    await socket.connect()
    await socket.disconnect(4000)
    assert Own.latest.code == 4000


async def test_subclass_may_send_text() -> None:
    """A subclass may send text, and anything else is an error."""
    socket = open_socket(make_runtime(), Own)
    await socket.connect()
    await Own.latest.send("a text of its own")
    assert await socket.receive_from() == "a text of its own"
    with pytest.raises(ValueError, match="only text"):
        await Own.latest.send(bytes_data=b"x")
    await socket.disconnect()


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [((), 1000, ""), ((True,), 1000, ""), ((4001,), 4001, ""), ((4001, "why"), 4001, "why")],
)
async def test_subclass_may_close(arguments: tuple[Any, ...], code: int, reason: str) -> None:
    """A subclass may close with a code and a reason; the client leaves the broker at once."""
    runtime = make_runtime()
    socket = open_socket(runtime, Own)
    await socket.connect()
    await Own.latest.close(*arguments)
    assert runtime.broker.client_count == 0
    expected = {"type": "websocket.close", "code": code, "reason": reason}
    assert await socket.receive_output() == expected
    await socket.disconnect()
    assert Own.latest.code == code


async def test_subclass_may_send_and_close() -> None:
    """With `close=True` the text is sent before the close frame."""
    socket = open_socket(make_runtime(), Own)
    await socket.connect()
    await Own.latest.send("last words", close=True)
    assert (await socket.receive_output())["text"] == "last words"
    assert (await socket.receive_output())["type"] == "websocket.close"
    await socket.disconnect()


@pytest.mark.parametrize(
    "name",
    ["dispatch", "receive", "websocket_connect", "websocket_receive", "websocket_disconnect"],
)
def test_unused_methods_of_channels_are_not_inherited(name: str) -> None:
    """Methods of the Channels dispatch loop, which is not used, are not inherited."""
    assert not hasattr(ChatConsumer(make_runtime()), name)
