"""One client that only reads: the connection behind a stream of server-sent events."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pubsub.auth.access import Access
from pubsub.auth.errors import Unauthorized
from pubsub.auth.identity import EVERYTHING, Identity
from pubsub.cluster.cluster import PREPARATIONS, Cluster
from pubsub.cluster.reach import OUT_OF_REACH
from pubsub.connection.connection import Connection
from pubsub.connection.postponed import Postponed
from pubsub.connection.session import MAX_ANSWERS, Session
from pubsub.core.errors import LimitExceeded, TopicNotFound
from pubsub.core.publication import Frame, Position
from pubsub.core.topic import Recover, Subscribed
from pubsub.protocol.errors import TooManyConnections, Unavailable
from pubsub.protocol.replies import encode_streamed
from pubsub.runtime import Runtime
from pubsub.tally import AuthFailure
from pubsub.transport.base import Reason, Transport
from pubsub.transport.sse import Bookmark


class _Completed(NamedTuple):
    code: int = 1000
    reason: str = "no topic left"


COMPLETED = _Completed()
"""Why a stream ends whose last topic was deleted, or may not be read any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request for a stream presents; the first that is there decides."""

    api_key: str | None = field(default=None, repr=False)
    user: Any = None
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a stream should carry."""

    topics: Sequence[str]
    """The names of its topics, each once."""

    last_n: int = 0
    """Past events of each topic to begin with."""

    since: Mapping[str, int] | None = None
    """The offsets after which to recover, by epoch; ``None`` to recover nothing."""

    former_id: str | None = None
    """The client's id before it reconnected, whose messages are not recovered."""


class Unopened:
    """Stands in for the transport of a stream until its response begins."""

    kind = "sse"
    writable = False
    close_code = 1006
    close_reason: str | None = None
    reason: Reason | None = None
    """Why the stream ends before it begins."""

    def next_message(self) -> None:
        """Return ``None``: the client of a stream sends no messages."""

    def write(self, frames: Sequence[Frame]) -> None:
        """Never called, because the transport is not `writable`."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""

    def close(self, reason: Reason, last: Sequence[Frame] = ()) -> None:
        """Note why the stream ends."""
        self.reason = reason
        self.close_code, self.close_reason = reason.code, reason.reason

    async def serve(self, peer: Any) -> None:
        """Return at once."""

    async def wait_closed(self) -> None:
        """Return at once."""


class StreamSession(Session):
    """Who reads a stream. It is known before the stream begins, and cannot be renewed."""

    __slots__ = ()

    def identify(self, credentials: Credentials) -> None:
        """Take the credentials of the request.

        Raises:
            Unauthorized: They are invalid, or there are none and some are needed.
            TooManyConnections: The user has no room for another one.
        """
        access: Access = self._access
        if credentials.api_key is not None:
            access.verify_api_key(credentials.api_key)
            self._become(Identity(None, subscribe=EVERYTHING))
        elif credentials.user is not None:
            self.start(user=credentials.user, token=None)
        elif credentials.token is not None:
            self._become(access.verify_token(credentials.token))
        elif access.is_required:
            raise Unauthorized("a Bearer token or an API key (X-API-Key) is required")
        else:
            self.identity = access.anonymous

    def _grace(self) -> float:
        return 0.0

    def await_expiry(self) -> None:
        """Notify the client before its token expires, and end the stream when it does."""
        if self.identity is not None and self.identity.expires_at is not None:
            self._await_expiry(self.identity)


class Stream(Connection):
    """A connection whose client sends no messages: its request says all.

    It can be refused until its response begins: call `prepare`, then `open` and `run`, and if
    anything fails before `run`, `abandon`.

    Args:
        runtime: The runtime that the client joins. It must belong to the running event loop.
        address: The client's IP address; empty if it is unknown.
    """

    __slots__ = ("_is_completed", "_unopened")

    session: StreamSession | None

    def __init__(self, runtime: Runtime, *, address: str = "") -> None:
        self._unopened = Unopened()
        super().__init__(runtime, self._unopened, address=address)
        self._is_completed = False
        if runtime.access.is_on:
            self.session = StreamSession(runtime.access, self)

    async def prepare(self, credentials: Credentials, wanted: Wanted) -> Bookmark:
        """Admit the client, and subscribe it to all its topics or to none.

        Nothing is awaited unless an authorizer or another process has to be asked.

        Returns:
            Where the stream begins.

        Raises:
            TooManyConnections: The server, the address or the user has no room for another one.
            LimitExceeded: There would be too many subscriptions or topics.
            AccessError: The credentials are invalid, or do not cover a topic.
            TopicError: A topic does not exist, or its name is invalid.
            Unavailable: The connection was closed while it waited for the authorizer or for other
                processes, or these are out of reach.
        """
        # As many answers of an authorizer are kept.
        limit = min(self._runtime.config.max_subscriptions, MAX_ANSWERS)
        if len(wanted.topics) > limit:
            raise LimitExceeded("subscriptions", limit)
        self._runtime.admit(self)
        if self.session is not None:
            self.session.identify(credentials)
            await self._decide(self.session, wanted.topics)
        if self._runtime.cluster is not None:
            await self._prepare(self._runtime.cluster, wanted)
        return self._subscribe(wanted)

    async def _prepare(self, cluster: Cluster, wanted: Wanted) -> None:
        """Have this process get what others publish to the topics, as of when this returns."""
        for _ in range(PREPARATIONS):
            for name in wanted.topics:
                await cluster.prepare(name)
                if wanted.since and (topic := self.broker.find(name)) is not None:
                    await cluster.prepare(name, wanted.since.get(topic.epoch, 0))
            self._check_open()
            if self.session is not None:
                await self._decide(self.session, wanted.topics)
            if all(cluster.receives(name) for name in wanted.topics):
                return
        raise Unavailable(OUT_OF_REACH)

    async def _decide(self, session: StreamSession, topics: Iterable[str]) -> None:
        """Check that the client may read all topics, as of the time at which this returns."""
        while True:
            try:
                for topic in topics:
                    session.require("subscribe", topic)
            except Postponed as question:
                await question.wait()
                self._check_open()
            else:
                return

    def _check_open(self) -> None:
        if self.outbox.closed:  # it was closed meanwhile
            raise Unavailable(self.transport.close_reason or "closed") from None

    def _subscribe(self, wanted: Wanted) -> Bookmark:
        outbox, positions, replays = self.outbox, {}, []
        for topic in wanted.topics:
            subscribed = self.broker.subscribe(
                self.client, topic, last_n=wanted.last_n, recover=self._recover(topic, wanted)
            )
            outbox.put_reply(encode_streamed(topic, subscribed, self.client.id))
            if subscribed.replay is not None:
                replays.append(subscribed.replay)
            if subscribed.position is not None:
                positions[topic] = _beginning(subscribed.position, subscribed)
        for replay in replays:
            outbox.put_replay(replay)
        if self.session is not None:
            self.session.await_expiry()
        return Bookmark(positions)

    def _recover(self, topic: str, wanted: Wanted) -> Recover | None:
        since = wanted.since
        if since is None:
            return None
        try:
            epoch = self.broker.topic(topic).epoch
        except TopicNotFound:  # it may be created
            epoch = ""
        # No topic has an empty epoch, so nothing is recovered where the request has no position.
        position = Position(epoch, since[epoch]) if epoch in since else Position("", 0)
        return Recover(position, wanted.former_id)

    def abandon(self) -> None:
        """Leave without a trace, because the request is refused."""
        self._leave(lost=False)
        self._runtime.registry.remove(self)

    def open(self, transport: Transport) -> None:
        """Take the transport of the response that has begun."""
        self._runtime.tally.opened[transport.kind] += 1
        self.transport = transport
        if self._unopened.reason is not None:  # it was closed meanwhile
            transport.close(self._unopened.reason)

    def _begin(self) -> None:
        """Do nothing: `prepare` has done what a WebSocket does now."""

    def identified(self, identity: Identity) -> bool:
        """Note who the client is.

        Raises:
            TooManyConnections: The user has no room for another one.
        """
        if not self._runtime.registry.identify(self, identity.user):
            self.count_auth_failure(AuthFailure.LIMIT)
            raise TooManyConnections("user")
        self.broker.identify(self.client, identity.user, identity.info)
        return True

    def _flush(self, *, whole: bool = False) -> None:
        super()._flush(whole=whole)
        if not (self.client.topics or self._is_completed) and self.outbox.empty():
            # Deferred, because the broker may be in the middle of a publication.
            self._is_completed = True
            asyncio.get_running_loop().call_soon(self.flush_and_close, COMPLETED)


def _beginning(position: Position, subscribed: Subscribed) -> Position:
    """Return the position of a client that has not received the replay yet."""
    replay = subscribed.replay
    return position if replay is None else position._replace(offset=replay.after)
