"""The consumer as any Channels application may test it, and what only a fake can provoke."""

import asyncio
import logging
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from pubsub.consumers import BUDGET, COST_OF_COMMAND, ChatConsumer
from pubsub.core.configuration import Configuration
from pubsub.core.publication import Frame
from pubsub.runtime import Runtime

UUID = "550e8400-e29b-41d4-a716-446655440000"


def open_socket(runtime: Runtime) -> WebsocketCommunicator:
    """Return a connection to a consumer that serves this runtime."""
    return WebsocketCommunicator(ChatConsumer.as_asgi(runtime=runtime), "/ws")


async def ask(socket: WebsocketCommunicator, **message: Any) -> Any:
    """Send a message and return the answer."""
    await socket.send_json_to(message)
    return await socket.receive_json_from()


async def test_conversation() -> None:
    """Subscribe, publish, leave, with the communicator of channels.testing."""
    runtime = Runtime(Configuration(auto_create_topics=True))
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
    runtime = Runtime(Configuration(auto_create_topics=True))
    socket = open_socket(runtime)
    await socket.connect()
    await ask(socket, type="subscribe", topic="t")
    socket.future.cancel()
    with pytest.raises(asyncio.CancelledError):
        await socket.future
    assert runtime.broker.subscriptions() == {}


class FaultyRuntime(Runtime):
    """Its broker fails in a way that nobody has thought of."""

    def __init__(self) -> None:
        super().__init__(Configuration())
        self.broker.publish = self.fail

    def fail(self, name: str, frame: Frame, **more: Any) -> int:
        """Fail."""
        raise ZeroDivisionError("a secret")


async def test_fault_of_the_server_is_logged_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The client gets INTERNAL with its request id, and stays connected."""
    socket = open_socket(FaultyRuntime())
    await socket.connect()
    message = {"id": UUID, "payload": 1}
    answer = await ask(socket, type="publish", topic="t", message=message, request_id="r")
    assert answer["error"] == {"code": "INTERNAL", "message": "internal error"}
    assert answer["request_id"] == "r"
    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)
    assert (await ask(socket, type="ping"))["type"] == "pong"
    await socket.disconnect()


async def test_fault_in_writing_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """With 1011, and no other one."""
    runtime = Runtime(Configuration(auto_create_topics=True))
    broken, other = open_socket(runtime), open_socket(runtime)
    await broken.connect()
    await ask(broken, type="subscribe", topic="t")
    await other.connect()
    await ask(other, type="subscribe", topic="t")
    connection = next(iter(runtime._connections))
    connection.transport.write_nowait = None
    runtime.broker.publish("t", Frame(b"1", "t"))
    assert await other.receive_from() == "1"
    assert runtime.broker.client_count == 1
    assert "Failed to write" in caplog.text
    assert await broken.receive_output() == {
        "type": "websocket.close",
        "code": 1011,
        "reason": "internal error",
    }
    await broken.disconnect()
    await other.disconnect()


async def test_nobody_listens_to_a_client_that_was_let_go() -> None:
    """What it sends before its socket is closed must not subscribe it again."""
    runtime = Runtime(Configuration(auto_create_topics=True))
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
            consumer.on_lost()
        return message

    async def send(message: dict[str, Any]) -> None:
        """Take everything."""

    await consumer({"type": "websocket"}, receive, send)
    assert runtime.broker.subscriber_counts() == {"before": 0}


async def test_one_client_does_not_keep_the_event_loop() -> None:
    """After its share it gives way, although more of its messages wait."""
    runtime = Runtime(Configuration())
    turns = 0
    received = 0
    share = BUDGET // COST_OF_COMMAND

    async def receive() -> dict[str, Any]:
        nonlocal received
        received += 1
        if received == 1:
            return {"type": "websocket.connect"}
        if received <= 1 + 3 * share:
            return {"type": "websocket.receive", "text": "{}"}
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message: dict[str, Any]) -> None:
        """Take everything."""

    async def count_turns() -> None:
        nonlocal turns
        while received <= 3 * share:
            await asyncio.sleep(0)
            turns += 1

    consumer = ChatConsumer(runtime)
    await asyncio.gather(consumer({"type": "websocket"}, receive, send), count_turns())
    assert turns >= 2
