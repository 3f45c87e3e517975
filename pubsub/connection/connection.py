"""One client's connection, on any transport."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from msgspec import UNSET, UnsetType

from pubsub import fairness, logs
from pubsub.auth.errors import AccessError
from pubsub.auth.identity import Identity
from pubsub.cluster.cluster import Cluster
from pubsub.connection import cluster_commands, commands
from pubsub.connection.pipeline import Pipeline
from pubsub.connection.postponed import Postponed
from pubsub.connection.rate import MalformedLimit, RateLimit
from pubsub.connection.session import Session
from pubsub.core.errors import InvalidTopicName, PubSubError
from pubsub.core.names import validate_name
from pubsub.core.options import Overflow
from pubsub.core.publication import Publication
from pubsub.protocol.codes import Close, ErrorCode
from pubsub.protocol.commands import (
    decode_command,
    refuse_binary,
    refuse_rate,
    refuse_too_large,
)
from pubsub.protocol.errors import ProtocolError, error_code, has_unknown_fate
from pubsub.protocol.messages import AnyCommand, Publish
from pubsub.protocol.replies import encode_error, encode_published
from pubsub.runtime import Runtime
from pubsub.tally import AuthFailure
from pubsub.transport.base import Message, Other, Reason, Transport
from pubsub.websocket.engine import TooLarge

logger = logging.getLogger(__name__)

BATCH_BYTES = 64 * 1024
"""Bytes that are written at a time, so that the transport has to buffer no more than that."""

_LEAVING = (1000, 1001)
"""Close codes with which a client says that it leaves: done, or going away (RFC 6455 §7.4.1)."""

_ORDINARY = (*_LEAVING, Close.SHUTDOWN.code)
"""Close codes that no line of the log is due to."""


class Connection:
    """A client of the broker, and the two pumps between its outbox and its transport.

    The read pump executes commands as they arrive; replies go through the outbox like everything
    else. The write pump has no task: an outbox that gets its first frame asks for a flush at the
    end of the tick, and a socket that has room again asks for another.

    Args:
        runtime: The runtime that the client joins. It must belong to the running event loop.
        transport: The accepted WebSocket.
        address: The client's IP address; empty if it is unknown.
        user: The authenticated user of the Django project from the handshake, if there is one.
        token: The token from the handshake, if there is one.
    """

    # Slots for the same reason as in `Outbox`.
    __slots__ = (
        "_budget",
        "_commands",
        "_credentials",
        "_has_turn",
        "_held",
        "_is_slow",
        "_malformed",
        "_max_message_bytes",
        "_paused",
        "_pipeline",
        "_rate_limit",
        "_runtime",
        "_waiting",
        "_waiting_for_room",
        "address",
        "broker",
        "client",
        "outbox",
        "session",
        "transport",
    )

    def __init__(
        self,
        runtime: Runtime,
        transport: Transport,
        *,
        address: str = "",
        user: Any = None,
        token: str | None = None,
    ) -> None:
        self._runtime = runtime
        self.address = address
        config = runtime.config
        self._max_message_bytes = config.max_message_bytes
        self.transport = transport
        self.broker = runtime.enter()
        self.client = self.broker.connect(
            on_frames=self._flush,
            schedule=runtime.at_end_of_tick,
            on_full=self._flush,
            on_overflow=self._on_overflow,
        )
        self.outbox = self.client.outbox
        rate = config.rate_limit
        self._rate_limit = RateLimit(rate, config.rate_burst, time.monotonic()) if rate else None
        self._malformed: MalformedLimit | None = None
        # Without a session there are no commands that use one.
        self.session: Session | None = None
        is_alone = runtime.cluster is None
        self._commands = commands.OPEN if is_alone else cluster_commands.OPEN
        if runtime.access.is_on:
            self.session = Session(runtime.access, self)
            self._commands = commands.GUARDED if is_alone else cluster_commands.GUARDED
            self._credentials = user, token
        self._budget = fairness.BUDGET
        self._paused = False
        self._is_slow = False
        self._has_turn = False
        self._held: Message | None = None
        self._waiting_for_room: asyncio.Task[None] | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._pipeline: Pipeline | None = None

    async def run(self) -> None:
        """Serve the client until its socket is closed."""
        logs.client_connected(self.client.id, address=self.address)
        try:
            self._begin()
            await self.transport.serve(self)
        finally:
            self._leave(lost=self._was_lost)
            self._runtime.forget(self)
            code = self.transport.close_code
            logs.client_disconnected(
                self.client.id, code=code, address=self.address, user=self.user
            )

    def _begin(self) -> None:
        self._runtime.join(self)
        if self.session is not None and not self.outbox.closed:
            user, token = self._credentials
            del self._credentials  # a token is not kept
            self.session.start(user=user, token=token)

    @property
    def user(self) -> str | None:
        """The authenticated user, if there is one."""
        identity = self.session.identity if self.session is not None else None
        return None if identity is None else identity.user

    @property
    def cluster(self) -> Cluster:
        """The other processes; only for the commands of a cluster."""
        assert self._runtime.cluster is not None  # noqa: S101  # or there are other commands
        return self._runtime.cluster

    @property
    def pipeline(self) -> Pipeline:
        """The client's publications that are on their way; only for the commands of a cluster."""
        if self._pipeline is None:
            load = self.cluster.journals.load
            self._pipeline = Pipeline(load, acknowledge=self._acknowledge, refuse=self._refuse)
        return self._pipeline

    def __repr__(self) -> str:
        return f"<Connection of {self.client!r}>"

    # --- The read pump ---

    def on_readable(self) -> None:
        """Execute messages until there are no more or the client has to wait.

        A client has to wait while its outbox is full, because it does not read its replies, and
        when it has spent its budget. Its socket is not read meanwhile.
        """
        next_message = self.transport.next_message
        while not self._paused:
            message = next_message()
            if message is None:
                return
            if type(message) is not Other:
                self._receive(message)  # type: ignore[arg-type]  # mypy does not narrow this
            else:
                self._budget -= message.cost
            if self._budget <= 0 and not self._paused:
                self._pause()
                asyncio.get_running_loop().call_soon(self._resume)

    def _receive(self, message: Message) -> None:
        if self.outbox.full():
            if self.outbox.closed:
                return
            self._flush()
            if self.outbox.full():
                self._held = message
                self._pause()
                self._waiting_for_room = asyncio.ensure_future(self._resume_when_there_is_room())
                return
        self._budget -= fairness.COMMAND + self._execute(message)

    def _pause(self) -> None:
        self._paused = True
        self.transport.pause_reading()

    async def _resume_when_there_is_room(self) -> None:
        await self.outbox.wait_for_room()
        self._waiting_for_room = None
        self._resume()

    def _resume(self) -> None:
        # What one message cost beyond the budget is paid off in further turns.
        self._budget = min(fairness.BUDGET, self._budget + fairness.BUDGET)
        if self._budget <= 0:
            asyncio.get_running_loop().call_soon(self._resume)
            return
        self._paused = False
        held, self._held = self._held, None
        if held is not None:
            self._receive(held)
        self.on_readable()
        if not self._paused:
            self.transport.resume_reading()

    def _execute(self, message: Message) -> int:
        """Execute one message and queue the reply; return its cost beyond that of a command."""
        try:
            if type(message) is str and self._rate_limit is None:
                command = decode_command(message, max_bytes=self._max_message_bytes)
            else:
                command = self._decode_other(message)
        except ProtocolError as error:
            if self._pipeline is not None and self._pipeline.is_busy:
                self._pause()
                self._waiting = asyncio.ensure_future(self._reject_later(message, error))
                return 0
            return self._reject(message, error)
        kind = type(command)
        if kind is not Publish:  # these are counted by the broker
            self._runtime.tally.commands[kind] += 1
        try:
            return self._commands[kind](self, command)  # type: ignore[arg-type]
        except Postponed as postponed:
            self._pause()
            self._waiting = asyncio.ensure_future(self._execute_later(command, postponed))
        except Exception as error:
            self._refuse(command, error)
        return 0

    def _reject(self, message: Message, error: ProtocolError) -> int:
        """Answer a message that is no command, and return what it costs."""
        self.outbox.put_reply(
            encode_error(error.code, str(error), request_id=error.request_id, topic=error.topic)
        )
        if error.code is ErrorCode.BAD_REQUEST:
            self._count_malformed()
        size = message.size if isinstance(message, TooLarge) else len(message)
        self._runtime.tally.count_failure(None, error.code)
        return size // fairness.REJECTED_BYTES

    async def _reject_later(self, message: Message, error: ProtocolError) -> None:
        """Answer a message that is no command, after the publications before it."""
        await self.pipeline.wait_until_idle()
        self._budget -= self._reject(message, error)
        self._waiting = None
        self._resume()

    def _acknowledge(self, command: Publish, publication: Publication) -> None:
        """Answer a publication that was on its way."""
        self._budget -= publication.subscribers
        reply = encode_published(command.topic, command.request_id, publication)
        self.outbox.put_reply(reply)

    def _refuse(self, command: AnyCommand, error: Exception) -> None:
        if isinstance(error, PubSubError):
            code, text = error_code(error), str(error)
        else:
            logger.error("Failed to execute a %s command", type(command).__name__, exc_info=error)
            code, text = ErrorCode.INTERNAL, "internal error"
        self._runtime.tally.count_failure(command, code)
        if isinstance(error, AccessError):
            self.count_access_error(error)
        self.outbox.put_reply(
            encode_error(
                code,
                text,
                request_id=command.request_id,
                topic=_valid_topic(command),
                unknown_fate=isinstance(error, PubSubError) and has_unknown_fate(error),
            )
        )
        if code is ErrorCode.BAD_REQUEST:
            self._count_malformed()

    async def _execute_later(self, command: AnyCommand, postponed: Postponed) -> None:
        """Execute a command that has to wait, for instance for an answer of the authorizer."""
        try:
            while True:
                try:
                    cost = await postponed.wait()
                    if cost is None:
                        cost = self._commands[type(command)](self, command)  # type: ignore[arg-type]
                    break
                except Postponed as again:  # for instance because permissions changed meanwhile
                    postponed = again
            self._budget -= cost
        except Exception as error:
            self._refuse(command, error)
        self._waiting = None
        self._resume()

    def _count_malformed(self) -> None:
        limit = self._runtime.config.max_malformed
        if not limit:
            return
        if self._malformed is None:
            self._malformed = MalformedLimit(limit)
        if self._malformed.exceeds(time.monotonic()):
            self.flush_and_close(Close.BAD_REQUEST)

    def _decode_other(self, message: Message) -> AnyCommand:
        """Apply the rate limit, and decode the message or reject it if it cannot be a command."""
        if self._rate_limit is not None and not self._admit(self._rate_limit):
            if isinstance(message, TooLarge):
                refuse_rate(message.head, message.tail)
            refuse_rate(message)
        if isinstance(message, str):
            return decode_command(message, max_bytes=self._max_message_bytes)
        if isinstance(message, bytes):
            return refuse_binary(message)
        if not message.is_text:
            return refuse_binary(message.head, message.tail)
        return refuse_too_large(message.head, message.tail, max_bytes=self._max_message_bytes)

    def _admit(self, limit: RateLimit) -> bool:
        if limit.admit(time.monotonic()):
            return True
        if limit.exhausted:
            self.flush_and_close(Close.TOO_MANY_REQUESTS)
        return False

    # --- The write pump ---

    def _flush(self, *, whole: bool = False) -> None:
        outbox, transport = self.outbox, self.transport
        try:
            while transport.writable and (frames := outbox.take_nowait(BATCH_BYTES)):
                transport.write(frames)
                if outbox.empty():
                    return
                if outbox.is_replaying and not (whole or outbox.full()):
                    self._flush_in_turn()
                    return
        except Exception:
            logger.exception("Failed to write to a client, which is disconnected")
            # Deferred, because the broker may be in the middle of a publication.
            asyncio.get_running_loop().call_soon(self.close, Close.INTERNAL)

    def _flush_in_turn(self) -> None:
        """Write the rest of a replay a batch at a time, and let other clients be served in between.

        A client that reads fast would otherwise hold the event loop for as long as it lasts.
        """
        if not self._has_turn:
            self._has_turn = True
            self._runtime.turns.take().add_done_callback(self._take_turn)

    def _take_turn(self, _turn: asyncio.Future[None]) -> None:
        self._has_turn = False
        self._flush()

    def on_writable(self) -> None:
        """Write the frames that were queued while the socket was full."""
        self._flush()

    # --- The end ---

    def on_end(self, end: Callable[[], None]) -> None:
        """Let the transport close the connection, after the publications that are on their way."""
        if self._pipeline is not None and self._pipeline.is_busy:
            self._pause()
            self._waiting = asyncio.ensure_future(self._end_later(end))
        else:
            end()

    async def _end_later(self, end: Callable[[], None]) -> None:
        await self.pipeline.wait_until_idle()
        end()

    def on_lost(self) -> None:
        """Leave every topic at once, even if a pump is waiting."""
        transport = self.transport
        if transport.close_reason is not None and not self.outbox.closed:
            self._log_close(transport.close_code, transport.close_reason)
        self._leave(lost=self._was_lost)

    @property
    def _was_lost(self) -> bool:
        """Whether the connection has ended otherwise than by the client's own wish."""
        return self.transport.close_code not in _LEAVING

    def stop(self) -> None:
        """Flush the outbox, and close because the server is stopping."""
        self.flush_and_close(Close.SHUTDOWN)

    def flush_and_close(self, reason: Reason) -> None:
        """Close after what is in the outbox, up to `BATCH_BYTES` more than the socket takes."""
        if not self.outbox.closed:
            self._log_close(reason.code, reason.reason)
            self._flush(whole=True)
            last = self.outbox.take_nowait(BATCH_BYTES)
            self._leave(lost=True)
            self.transport.close(reason, last)

    def _on_overflow(self, policy: Overflow) -> None:
        if not self._is_slow:
            self._is_slow = True
            logs.slow_consumer(self.client.id, address=self.address, user=self.user)
        if policy is Overflow.DISCONNECT:
            # Deferred, because the broker is in the middle of a publication.
            asyncio.get_running_loop().call_soon(self.close, Close.SLOW)

    def close(self, reason: Reason) -> None:
        """Leave every topic, discard the outbox, and close after what was already written."""
        if not self.outbox.closed:
            self._leave(lost=True)
            self.transport.close(reason)
            self._log_close(reason.code, reason.reason)

    def _log_close(self, code: int, reason: str) -> None:
        if code not in _ORDINARY:
            logs.client_closed(
                self.client.id, code=code, reason=reason, address=self.address, user=self.user
            )

    def _leave(self, *, lost: bool) -> None:
        self._held = None
        self._runtime.registry.leave(self)
        self.broker.disconnect(self.client, lost=lost)
        if self.session is not None:
            self.session.end()
        if self._waiting is not None:
            self._waiting.cancel()
        self._pipeline = None  # it refers to this connection; what it has begun goes on

    # --- For the session ---

    def identified(self, identity: Identity) -> bool:
        """Note who the client is; return whether it may stay connected."""
        if self._runtime.registry.identify(self, identity.user):
            self.broker.identify(self.client, identity.user, identity.info)
            return True
        self.count_auth_failure(AuthFailure.LIMIT)
        self.flush_and_close(Close.CONNECTION_LIMIT)
        return False

    def count_access_error(self, error: AccessError) -> None:
        """Count a token that was refused, or a command that the credentials do not cover."""
        self._runtime.tally.count_access_error(error)

    def count_auth_failure(self, reason: AuthFailure) -> None:
        """Count a client that has no credentials, or whose user has too many connections."""
        self._runtime.tally.count_auth_failure(reason)

    def end_subscription(self, topic: str) -> None:
        """Unsubscribe the client from a topic that it may not read any more."""
        self.broker.unsubscribe(self.client, topic)


def _valid_topic(command: AnyCommand) -> str | UnsetType:
    """Return the topic of a command, unless it has none or the name is invalid."""
    topic: str | UnsetType = getattr(command, "topic", UNSET)
    try:
        return UNSET if topic is UNSET else validate_name(topic)
    except InvalidTopicName:
        return UNSET
