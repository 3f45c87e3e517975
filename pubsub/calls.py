"""What the project's own code can do, from any thread of any process; see `pubsub`.

An operation runs on the event loop that serves the clients. In a process that serves none, it runs
on an event loop in the background, if there is a relay to the processes that serve clients.
"""

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import msgspec
from asgiref.sync import async_to_sync

from pubsub import background
from pubsub.core.errors import BrokerNotRunning, MustAwait
from pubsub.core.options import MAX_HISTORY, GivenOptions
from pubsub.protocol import replies
from pubsub.protocol.messages import check_message_id
from pubsub.runtime import Runtime, get_runtime

TIMEOUT = 10.0
"""Seconds that another thread waits for the event loop to carry out its call."""

T = TypeVar("T")

Operation = Callable[[Runtime], Coroutine[Any, Any, T]]
"""What is done on the event loop of a runtime. Without a relay it never waits."""


def publish(topic: str, payload: Any, message_id: str | None, *, once: bool) -> Operation[int]:
    """Return the operation that publishes a message and returns the number of subscribers.

    Raises:
        TypeError: JSON cannot represent the payload.
        ValueError: ``message_id`` is not a UUID.
    """
    message_id = check_message_id(message_id) if message_id else str(uuid.uuid4())
    encoded = replies.encode_payload(payload)

    async def operation(runtime: Runtime) -> int:
        cluster = runtime.cluster
        if cluster is None:
            return runtime.broker.publish(topic, message_id, encoded, once=once).subscribers
        published = await cluster.publish(topic, message_id, encoded, once=once)
        return published.subscribers + cluster.subscribers_elsewhere(topic)

    return operation


def options(
    history: int | None,
    history_seconds: float | None,
    presence: bool | None,
    overflow: str | None,
) -> GivenOptions:
    """Return the options that are given.

    Raises:
        ValueError: One of them is invalid.
    """
    given = {
        "history": history,
        "history_seconds": history_seconds,
        "presence": presence,
        "overflow": overflow,
    }
    if history is not None and history > MAX_HISTORY:
        raise ValueError(f"history must be an integer from 0 to {MAX_HISTORY}")
    return msgspec.convert(
        {key: value for key, value in given.items() if value is not None}, GivenOptions
    )


def create_topic(name: str, given: GivenOptions) -> Operation[None]:
    """Return the operation that creates a topic."""

    async def operation(runtime: Runtime) -> None:
        if runtime.cluster is None:
            runtime.broker.create_topic(name, given)
        else:
            await runtime.cluster.create_topic(name, given)

    return operation


def delete_topic(name: str) -> Operation[None]:
    """Return the operation that deletes a topic."""

    async def operation(runtime: Runtime) -> None:
        if runtime.cluster is None:
            runtime.broker.delete_topic(name, replies.encode_topic_deleted(name))
        else:
            await runtime.cluster.delete_topic(name)

    return operation


def recheck(user: str) -> Operation[None]:
    """Return the operation that asks again what a user may do, in all processes."""

    async def operation(runtime: Runtime) -> None:
        runtime.recheck(user)
        if runtime.cluster is not None:
            await runtime.cluster.recheck(user)

    return operation


def run(operation: Operation[T], *, otherwise: str) -> T:
    """Carry out an operation and wait for its result.

    Args:
        operation: The operation.
        otherwise: What to do instead in a process that serves no clients and has no relay.

    Raises:
        BrokerNotRunning: This is such a process.
        MustAwait: This thread runs the event loop, and the operation has to wait.
        TimeoutError: The event loop did not carry it out within `TIMEOUT`.
    """
    runtime, here = get_runtime(), _running_loop()
    if runtime.cluster is None:
        loop = _own_loop(runtime, here, otherwise)
    elif runtime.loop is None or not runtime.loop.is_running():
        runtime, loop = background.get_runtime()
    else:
        loop = runtime.loop
    if loop is here:
        return _without_waiting(operation(runtime))
    future = asyncio.run_coroutine_threadsafe(operation(runtime), loop)
    try:
        return future.result(TIMEOUT)
    finally:
        future.cancel()


async def arun(operation: Operation[T], *, otherwise: str) -> T:
    """Carry out an operation as `run` does, without blocking the event loop."""
    runtime = get_runtime()
    if runtime.loop is not None and runtime.loop is asyncio.get_running_loop():
        return await operation(runtime)
    return await asyncio.to_thread(run, operation, otherwise=otherwise)


def _own_loop(
    runtime: Runtime, here: asyncio.AbstractEventLoop | None, otherwise: str
) -> asyncio.AbstractEventLoop:
    """Return the loop that owns the broker of the only process, or the one that will own it."""
    if runtime.loop is None or runtime.loop.is_closed():
        # In a view's thread, async_to_sync runs this on the server's loop, the owner to be.
        runtime.enter() if here else async_to_sync(_enter)(runtime)
    if runtime.loop is None or not runtime.loop.is_running():
        raise BrokerNotRunning(f"this process serves no clients; {otherwise}")
    return runtime.loop


async def _enter(runtime: Runtime) -> None:
    runtime.enter()


def _without_waiting(operation: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that does not wait for anything."""
    try:
        operation.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    operation.close()
    raise MustAwait


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
