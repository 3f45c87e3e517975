"""The consumer: what an application with Channels may do with it."""

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
    """Return a connection to a consumer that serves this runtime."""
    return WebsocketCommunicator(consumer.as_asgi(runtime=runtime), "/ws", **options)


async def ask(socket: WebsocketCommunicator, **message: Any) -> Any:
    """Send a message and return the answer."""
    await socket.send_json_to(message)
    return await socket.receive_json_from()


async def test_conversation() -> None:
    """Clients subscribe, publish and leave, with the communicator of channels.testing."""
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
    """A server may end an application at any time."""
    runtime = make_runtime()
    socket = open_socket(runtime)
    await socket.connect()
    await ask(socket, type="subscribe", topic="t")
    socket.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await socket.future
    assert runtime.broker.subscriptions() == {}


async def test_nobody_listens_to_a_client_that_was_let_go() -> None:
    """What it sends before its socket is closed does not subscribe it again."""
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
        """Take everything."""

    await consumer({"type": "websocket"}, receive, send)
    assert runtime.broker.subscriber_counts() == {"before": 0}


# --- The handshake ---


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [([], None), (["chatroom.v1"], "chatroom.v1"), (["a", "chatroom.v1"], "chatroom.v1")],
)
async def test_subprotocol(offered: list[str], chosen: str | None) -> None:
    """That of the chat room is chosen if it is offered, and none otherwise."""
    socket = open_socket(make_runtime(), subprotocols=offered)
    assert await socket.connect() == (True, chosen)
    await socket.disconnect()


class Connecting(ChatConsumer):
    """A consumer that deals with the handshake in its own way."""

    async def connect(self) -> None:
        """Do what the first subprotocol says."""
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
    """No client of the broker is made then."""
    runtime = make_runtime()
    socket = open_socket(runtime, Connecting, subprotocols=[way])
    assert (await socket.connect())[0] is False
    await socket.wait()
    assert runtime.broker.client_count == 0


async def test_subclass_may_accept_with_the_exception_of_channels() -> None:
    """It is the same as calling `accept`."""
    socket = open_socket(make_runtime(), Connecting, subprotocols=["raise accept"])
    assert (await socket.connect())[0] is True
    assert (await ask(socket, type="ping"))["type"] == "pong"
    await socket.disconnect()


@pytest.mark.parametrize(("way", "message"), [("headers", "headers"), ("send", "accepted")])
async def test_what_cannot_be_done_in_the_handshake(way: str, message: str) -> None:
    """It is an error, rather than silence."""
    socket = open_socket(make_runtime(), Connecting, subprotocols=[way])
    with pytest.raises(ValueError, match=message):
        await socket.connect()


# --- What a subclass may do later ---


class Own(ChatConsumer):
    """A consumer that can be reached from the test."""

    latest: "Own"
    code: int | None = None

    async def connect(self) -> None:
        """Accept."""
        Own.latest = self
        await super().connect()

    async def disconnect(self, code: int) -> None:
        """Take note of the code."""
        self.code = code


async def test_subclass_learns_of_the_end() -> None:
    """`disconnect` gets the close code, once."""
    socket = open_socket(make_runtime(), Own)
    await socket.connect()
    await socket.disconnect(4000)
    assert Own.latest.code == 4000


async def test_subclass_may_send_text() -> None:
    """It leaves behind the replies that wait, and anything else is an error."""
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
    """The client gets the code and the reason, and leaves the broker at once."""
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
    """The text comes before the close frame."""
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
def test_nothing_is_inherited_that_would_not_work(name: str) -> None:
    """The dispatch loop of Channels is not used, so its methods are not there."""
    assert not hasattr(ChatConsumer(make_runtime()), name)
