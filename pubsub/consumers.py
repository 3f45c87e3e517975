"""One WebSocket connection: its read pump, its write pump, and their clean-up."""

import asyncio
import logging
import time
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from pubsub.core.errors import PubSubError
from pubsub.core.rate import RateLimit
from pubsub.protocol import commands, replies
from pubsub.protocol.codes import Close, ErrorCode
from pubsub.protocol.errors import ProtocolError, error_code
from pubsub.protocol.messages import AnyCommand, Ping, Publish, Subscribe
from pubsub.runtime import Runtime, get_runtime
from pubsub.transport.asgi import ASGITransport
from pubsub.transport.base import Receive, Send, Transport
from pubsub.transport.daphne import open_transport

logger = logging.getLogger(__name__)

BATCH_BYTES = 64 * 1024
"""The most that is handed to a socket at a time, so that what it refuses stays small."""

COST_OF_COMMAND = 50
"""What a command costs the event loop, in units of one delivery (about 0.2 µs)."""

REFUSED_BYTES = 4
"""How much of a refused message is looked at in the same time: the sentence takes a second look."""

BUDGET = 25_000
"""What one client's commands may cost at a stretch, in the same unit (about 5 ms)."""


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """A client's connection.

    It takes the place of Channels' dispatch loop, which makes a thread hop for each message. The
    read pump is `on_message`, which the transport calls: commands are executed as they come, and
    their replies go through the outbox like everything else. The write pump has no task of its
    own: an outbox that gets its first frame asks for a flush at the end of the tick, and a socket
    that has room again asks for another.

    Args:
        runtime: What to serve; by default the runtime of this process.
    """

    # For the same reason as those of `Outbox`.
    __slots__ = (
        "_budget",
        "_resumption",
        "client",
        "outbox",
        "rate_limit",
        "runtime",
        "task",
        "transport",
    )

    def __init__(self, runtime: Runtime | None = None) -> None:
        super().__init__()
        self.runtime = runtime or get_runtime()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve the connection until it is closed."""
        broker = self.runtime.enter()
        self.task = asyncio.current_task()
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        self.client = broker.connect(
            on_frames=self._flush,
            schedule=self.runtime.at_end_of_tick,
            on_full=self._flush,
            on_overflow=self._on_overflow,
        )
        self.outbox = self.client.outbox
        rate = self.runtime.limits.rate_limit
        self.rate_limit = RateLimit(rate, time.monotonic()) if rate else None
        self._budget = BUDGET
        try:
            self.transport: Transport = open_transport(send, self) or ASGITransport(send, self)
            self.runtime.join(self)
            await self.transport.read(receive)
        finally:
            self._leave()

    # --- The read pump ---

    def on_message(self, message: str | bytes) -> bool:
        """Execute one message and put the reply, or refuse it for now.

        A client that does not read its replies, or has had its share of the event loop, has to
        wait, and its socket is not read meanwhile.
        """
        outbox = self.outbox
        if outbox.full():
            if outbox.closed:
                return True
            self._flush()
            if outbox.full():
                self._resumption = asyncio.ensure_future(self._resume_when_there_is_room())
                return False
        if self._budget <= 0:
            self._budget = BUDGET
            asyncio.get_running_loop().call_soon(self.transport.resume_reading)
            return False
        self._budget -= COST_OF_COMMAND + self._receive(message)
        return True

    async def _resume_when_there_is_room(self) -> None:
        await self.outbox.wait_for_room()
        self.transport.resume_reading()

    def _receive(self, message: str | bytes) -> int:
        """Execute one message and put the reply; return its cost beyond that of a command."""
        try:
            if self.rate_limit is not None and not self._admit():
                commands.refuse_rate(message)
            if isinstance(message, bytes):
                commands.refuse_binary(message)
            command = commands.decode_command(
                message, max_bytes=self.runtime.limits.max_message_bytes
            )
        except ProtocolError as error:
            self.outbox.put_reply(
                replies.encode_error(
                    error.code, str(error), request_id=error.request_id, topic=error.topic
                )
            )
            return len(message) // REFUSED_BYTES
        try:
            return self._execute(command)
        except PubSubError as error:
            code, sentence = error_code(error), str(error)
        except Exception:
            logger.exception("Failed to execute a %s command", type(command).__name__)
            code, sentence = ErrorCode.INTERNAL, "internal error"
        self.outbox.put_reply(replies.encode_refusal(command, code, sentence))
        return 0

    def _admit(self) -> bool:
        limit = self.rate_limit
        if limit is None or limit.admit(time.monotonic()):
            return True
        if limit.exhausted:
            asyncio.get_running_loop().call_soon(self._close, Close.BAD_REQUEST)
        return False

    def _execute(self, command: AnyCommand) -> int:
        broker, outbox, client = self.runtime.broker, self.outbox, self.client
        if isinstance(command, Publish):
            event = replies.encode_event(command.topic, command.message)
            deliveries = broker.publish(command.topic, event, publisher=client)
            outbox.put_reply(replies.encode_ack(command.topic, command.request_id))
            return deliveries
        if isinstance(command, Ping):
            outbox.put_reply(replies.encode_pong(command.request_id))
        elif isinstance(command, Subscribe):
            replay = broker.subscribe(client, command.topic, last_n=command.last_n)
            outbox.put_reply(replies.encode_ack(command.topic, command.request_id))
            if replay is not None:
                outbox.put_replay(replay)
        else:
            broker.unsubscribe(client, command.topic)
            outbox.put_reply(replies.encode_ack(command.topic, command.request_id))
        return 0

    # --- The write pump ---

    def _flush(self) -> None:
        outbox, transport = self.outbox, self.transport
        try:
            while transport.writable and (frames := outbox.take_nowait(BATCH_BYTES)):
                if not transport.write_nowait(frames):
                    self.runtime.write_timeouts.watch(self, self._on_write_timeout)
                if outbox.empty():
                    return
        except Exception:
            logger.exception("Failed to write to a client, which is disconnected")
            # Not at once: the broker may be in the middle of a publication.
            asyncio.get_running_loop().call_soon(self._close, Close.INTERNAL)

    @property
    def waiting(self) -> bool:
        """Whether anything waits for the socket."""
        return self.transport.backlog > 0 or not self.outbox.empty()

    @property
    def progress(self) -> int:
        """A number that grows whenever the socket takes some of what waits for it."""
        return self.transport.progress

    def on_writable(self) -> None:
        """Write what has gathered while the socket was full."""
        self._flush()

    # --- The end ---

    def on_blocked(self) -> None:
        """Give the client its time to read, also when what waits are not frames of ours."""
        if not self.outbox.closed:
            self.runtime.write_timeouts.watch(self, self._on_write_timeout)

    def on_lost(self) -> None:
        """Leave every topic at once, whatever the pumps are waiting for."""
        self._leave()

    def stop(self) -> None:
        """Send what waits, and tell the client that the server stops."""
        self._flush()
        self.transport.close(Close.SHUTDOWN)
        self._leave()

    def _on_write_timeout(self) -> None:
        self._close(Close.SLOW)

    def _on_overflow(self) -> None:
        # The broker is in the middle of a publication.
        asyncio.get_running_loop().call_soon(self._close, Close.SLOW)

    def _close(self, why: Close) -> None:
        if not self.outbox.closed:
            self._leave()
            self.transport.close(why)

    def _leave(self) -> None:
        self.runtime.write_timeouts.forget(self)
        self.runtime.leave(self)
        self.runtime.broker.disconnect(self.client)
