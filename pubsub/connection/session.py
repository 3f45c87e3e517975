"""Who the client of a connection is, and until when. It exists only where access control is on."""

import asyncio
import logging
import math
import time
from dataclasses import replace
from typing import Any, Literal, Protocol

from msgspec import UNSET, UnsetType

from pubsub.auth import django
from pubsub.auth.access import Access
from pubsub.auth.errors import AccessError, ExpiredToken, Forbidden, Unauthorized
from pubsub.auth.identity import Identity
from pubsub.connection.postponed import Postponed
from pubsub.core.client import Client
from pubsub.core.names import MAX_NAME_LENGTH, validate_name
from pubsub.protocol import replies
from pubsub.protocol.codes import Close, ErrorCode
from pubsub.tally import AuthFailure

logger = logging.getLogger(__name__)

NOTICE_SECONDS = 60
"""Seconds before the expiry of a token at which its client is notified."""

GRACE_SECONDS = 25
"""Seconds that a client has after the expiry of its token to present another one."""

MAX_ANSWERS = 1024
"""Answers of an authorizer that are kept for one connection."""

Action = Literal["subscribe", "publish"]

_REFUSALS = {
    "subscribe": "the credentials do not allow subscribing to this topic",
    "publish": "the credentials do not allow publishing to this topic",
}


class Peer(Protocol):
    """The connection, as its session sees it."""

    client: Client

    def end_subscription(self, topic: str) -> None:
        """Unsubscribe the client from a topic that it may not read any more."""

    def flush_and_close(self, reason: Close) -> None:
        """Close the connection after what is queued."""

    def identified(self, identity: Identity) -> bool:
        """Note who the client is; return whether it may stay connected."""

    def count_access_error(self, error: AccessError) -> None:
        """Count a token that was refused."""

    def count_auth_failure(self, reason: AuthFailure) -> None:
        """Count a client without credentials."""


class Session:
    """The identity of one client: from its handshake, its first ``auth`` or a later one.

    Args:
        access: The check of credentials.
        peer: The connection.
    """

    __slots__ = (
        "_access",
        "_answers",
        "_described",
        "_era",
        "_is_stale",
        "_peer",
        "_rechecking",
        "_timer",
        "_user",
        "identity",
    )

    def __init__(self, access: Access, peer: Peer) -> None:
        self._access = access
        self._peer = peer
        self._timer: asyncio.TimerHandle | None = None
        self._user: Any = None
        self._is_stale = False  # the user, which may have cached permissions
        self._answers: dict[tuple[Action, str], bool] = {}
        self._era = 0  # of the permissions
        self._described = -1  # the era in which the authorizer has described the user
        self._rechecking: asyncio.Task[None] | None = None
        self.identity: Identity | None = None
        """Who the client is; ``None`` as long as it has to authenticate."""

    def start(self, *, user: Any, token: str | None) -> None:
        """Take the credentials of the handshake: a user of Django, or else a token, if any."""
        if user is not None:
            self._user = user
            self._become(Identity(django.name_of(user)))
        elif token is not None:
            self._start_with_token(token)
        elif self._access.is_required:
            self._call_later(self._access.config.auth_timeout, self._expire_unauthenticated)
        else:
            self.identity = self._access.anonymous

    def _start_with_token(self, token: str) -> None:
        try:
            identity = self._access.verify_token(token)
        except Unauthorized as error:
            self._reject(error)
            return
        if self._become(identity):
            self._await_expiry(identity)

    def end(self) -> None:
        """Stop all timers and questions: the connection has ended."""
        self._cancel_timer()
        self._stop_rechecking()

    @property
    def is_authenticated(self) -> bool:
        """Whether the client has presented valid credentials."""
        return self.identity is not None and self.identity.user is not None

    def require_identity(self) -> Identity:
        """Return who the client is.

        Raises:
            Unauthorized: The client has to authenticate first.
        """
        if self.identity is None:
            raise Unauthorized("authenticate first")
        return self.identity

    def require(self, action: Action, topic: str) -> Identity:
        """Return who the client is, if it may do this.

        Raises:
            Unauthorized: The client has to authenticate first.
            InvalidTopicName: The name is invalid, and nobody has been asked about it.
            Forbidden: The credentials of the client do not cover this.
            Postponed: The authorizer has to be asked about this first; see `decide`.
        """
        identity = self.require_identity()
        if self._user is not None:
            allowed = self._answers.get((action, topic))
            if allowed is None:
                validate_name(topic)  # whatever is asked about is kept
                raise Postponed(lambda: self.decide(action, topic))
        else:
            if len(topic) > MAX_NAME_LENGTH:  # the time to match it is proportional to its length
                validate_name(topic)
            rights = identity.subscribe if action == "subscribe" else identity.publish
            allowed = rights.cover(topic)
        if allowed:
            return identity
        if identity.user is None:
            raise Unauthorized("authenticate first: this is not open to everyone")
        raise Forbidden(_REFUSALS[action])

    async def decide(self, action: Action, topic: str) -> None:
        """Ask the authorizer, and keep the answer for `require`.

        Before the first subscription, it is also asked what others may know about the user.

        An answer is discarded if the permissions have changed meanwhile, so `require` may raise
        `Postponed` again.
        """
        era = self._era
        user = await self._reloaded_user()
        authorizer = self._access.authorizer
        allowed = user is not None and await django.ask(authorizer, action, user, topic)
        if allowed and action == "subscribe" and self._described != era:
            info = await django.describe(authorizer, user)
            if era == self._era:
                self._described = era
                self._show(info)
        if era == self._era:
            if len(self._answers) >= MAX_ANSWERS:
                self._answers.clear()
            self._answers[action, topic] = allowed

    def _show(self, info: bytes | None) -> None:
        """Let others know this about the user."""
        self.identity = replace(self.require_identity(), info=info)
        self._peer.identified(self.identity)

    # --- The command `auth` ---

    def authenticate(self, token: str, request_id: str | UnsetType) -> None:
        """Carry out ``auth``: take a first token, or a new one of the same user.

        A first token that is invalid ends the connection.

        Raises:
            Unauthorized: The new token is invalid; the session stays as it was.
            Forbidden: The new token is another user's; the session stays as it was.
        """
        try:
            identity = self._access.verify_token(token)
        except Unauthorized as error:
            if self.is_authenticated:
                raise
            self._reject(error, request_id)
            return
        if self.identity is not None and self.identity.user not in (None, identity.user):
            raise Forbidden("the token is for another user")
        self._user = None  # from now on the token decides
        self._stop_rechecking()
        if not self._become(identity):
            return
        client, left = self._peer.client, _seconds_left(identity)
        client.outbox.put_reply(
            replies.encode_authenticated(
                request_id,
                client_id=client.id,
                user=identity.user,
                expires_in=math.ceil(left),
            )
        )
        for topic in [each for each in client.topics if not identity.subscribe.cover(each)]:
            self._revoke(topic)
        self._await_expiry(identity)

    def _become(self, identity: Identity) -> bool:
        self._cancel_timer()
        self._forget_answers()
        self.identity = identity
        return self._peer.identified(identity)

    def _forget_answers(self) -> None:
        self._era += 1
        self._answers.clear()

    def _reject(self, error: Unauthorized, request_id: str | UnsetType = UNSET) -> None:
        refusal = replies.encode_error(ErrorCode.UNAUTHORIZED, str(error), request_id=request_id)
        self._peer.client.outbox.put_reply(refusal)
        self._peer.count_access_error(error)
        expired = isinstance(error, ExpiredToken)
        self._peer.flush_and_close(Close.EXPIRED if expired else Close.INVALID_TOKEN)

    def _revoke(self, topic: str) -> None:
        self._peer.end_subscription(topic)
        self._peer.client.outbox.put_reply(replies.encode_permission_revoked(topic))

    # --- Time ---

    def _call_later(self, delay: float, callback: Any, *args: Any) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(delay, callback, *args)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire_unauthenticated(self) -> None:
        self._peer.count_auth_failure(AuthFailure.STALE)
        self._peer.flush_and_close(Close.STALE)

    def _await_expiry(self, identity: Identity) -> None:
        left = _seconds_left(identity)
        if left <= NOTICE_SECONDS:
            self._notify(left)
        else:
            # Timers of the event loop do not follow the clock if it is set.
            self._call_later(left - NOTICE_SECONDS, self._notify, NOTICE_SECONDS)

    def _notify(self, left: float) -> None:
        self._peer.client.outbox.put_reply(replies.encode_token_expiring(math.ceil(left)))
        self._call_later(left + self._grace(), self._peer.flush_and_close, Close.EXPIRED)

    def _grace(self) -> float:
        """Return the seconds after the expiry of a token at which its client is disconnected."""
        return GRACE_SECONDS

    # --- Permissions in the Django project ---

    def recheck(self) -> None:
        """Ask the authorizer again, and end the subscriptions that are no longer allowed."""
        if self._user is not None:
            self._forget_answers()
            self._is_stale = True
            self._stop_rechecking()
            self._rechecking = asyncio.ensure_future(self._recheck())

    def _stop_rechecking(self) -> None:
        if self._rechecking is not None:
            self._rechecking.cancel()

    async def _reloaded_user(self) -> Any:
        """Return the user as it is after the last change; ``None`` if deleted or deactivated."""
        if not self._is_stale:
            return self._user
        era = self._era
        user = await django.reload(self._user)
        if era == self._era and user is not None:
            self._user, self._is_stale = user, False
        return user

    async def _recheck(self) -> None:
        try:
            if await self._reloaded_user() is None:
                self._peer.flush_and_close(Close.FORCE_DISCONNECT)
                return
            client = self._peer.client
            for topic in list(client.topics):
                await self.decide("subscribe", topic)
                if not self._answers.get(("subscribe", topic), True) and topic in client.topics:
                    self._revoke(topic)
        except Exception:
            # A client whose rights are unknown keeps none.
            logger.exception("Failed to check the permissions of a client, which is disconnected")
            self._peer.flush_and_close(Close.INTERNAL)


def _seconds_left(identity: Identity) -> float:
    """Return how long the identity of a token is valid; tokens always expire."""
    assert identity.expires_at is not None  # noqa: S101
    return max(0.0, identity.expires_at - time.time())
