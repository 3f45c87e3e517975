"""Who sends a REST request, and what it may do.

With authentication off every endpoint is open to everyone, except that API keys, where there are
any, protect those that change topics and those for operators. With authentication on a request
needs one of these; the first that is present decides, and an invalid one is refused:

1. an API key, in ``X-API-Key``;
2. a session of Django's, where the project has an authorizer;
3. a token, in ``Authorization: Bearer`` (RFC 6750 §2.1).

A request without any of them may read what anonymous clients may.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from pubsub.auth.access import Access, KeyRight
from pubsub.auth.django import Action, ask, name_of
from pubsub.auth.errors import AccessError, Forbidden, InvalidKey, Unauthorized
from pubsub.auth.identity import Identity, Patterns
from pubsub.core.broker import Broker
from pubsub.core.state import Visible
from pubsub.origins import is_own
from pubsub.proxies import network_of
from pubsub.runtime import get_runtime
from pubsub.turns import Turns

API_KEY_HEADER = "X-API-Key"

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")

_CREDENTIALS_REQUIRED = f"a Bearer token or an API key ({API_KEY_HEADER}) is required"
_KEY_REQUIRED = f"an API key ({API_KEY_HEADER}) is required"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who sends a request to do one thing: to subscribe (that is, read), publish or manage."""

    bucket: str
    """What its publications are counted under: one API key, one user or one address."""

    user: str | None = None
    """The authenticated user, if it is one."""

    patterns: Patterns | None = None
    """The topics that it may use; ``None`` for all of them, or for those that `question` allows."""

    question: Callable[[str], Awaitable[bool]] | None = None
    """Asks the authorizer of the project about a topic."""

    refusal: type[AccessError] = Forbidden
    """What it gets for a topic that it may not use."""

    reason: str = "the token does not cover this topic"
    """The message of that."""

    @property
    def may_use_all(self) -> bool:
        """Whether it may use every topic, so that none need be checked."""
        return self.question is None and self.patterns is None

    async def may_use(self, topic: str) -> bool:
        """Return whether it may use a topic, which need not exist."""
        if self.question is not None:
            return await self.question(topic)
        return self.patterns is None or self.patterns.cover(topic)

    async def visible(self, broker: Broker, turns: Turns, prefix: str) -> Visible | None:
        """Return the function that tells which topics it may use; ``None`` for all of them.

        An authorizer is asked about each topic whose name begins with ``prefix``.
        """
        if self.question is None:
            return None if self.patterns is None else self.patterns.cover
        allowed = set()
        for topics in broker.topic_slices(prefix=prefix):
            for name, _ in topics:
                if await self.question(name):
                    allowed.add(name)
            await turns.wait()
        return allowed.__contains__

    async def check(self, topic: str) -> None:
        """Check that it may use a topic.

        Raises:
            Forbidden, Unauthorized: It may not, whether the topic exists or not.
        """
        if not await self.may_use(topic):
            raise self.refusal(self.reason)


_EVERYONE = Asker("everyone")
"""Where nothing depends on who asks."""


async def identify(request: HttpRequest, action: Action) -> Asker:
    """Return who sends a request that wants to do ``action`` with some topic.

    Raises:
        Unauthorized: There are no valid credentials, and some are needed.
        Forbidden: The API key may only read, or the request has a session and may come from a
            page of another site.
    """
    runtime = get_runtime()
    access = runtime.access
    if not (access.is_on or access.has_api_keys) and runtime.rest_rates is None:
        return _EVERYONE
    key = _api_key(request)
    if not access.is_on:
        if action == "manage" and access.has_api_keys:
            return _key_holder(access, key, changes=True)
        return Asker(_bucket_without_auth(request, access, key))
    if key is not None:
        return _key_holder(access, key, changes=action != "subscribe")
    user = await _session_user(request, access)
    if user is not None:
        _check_site(request)
        name = name_of(user)
        return Asker(
            f"user {name}",
            user=name,
            question=lambda topic: ask(access.authorizer, action, user, topic),
            reason=f"this user may not {action} this topic",
        )
    token = bearer_token(request)
    if token is not None:
        identity = access.verify_token(token)
        return Asker(
            f"user {identity.user}", user=identity.user, patterns=_patterns(identity, action)
        )
    return _anonymous(request, access, action)


def check_operator(request: HttpRequest) -> None:
    """Check that a request may use the endpoints for operators, which need an API key.

    Here the key may also be in ``Authorization: Bearer``, because many tools can send no other
    header. Without authentication and without API keys they are open to everyone.

    Raises:
        Unauthorized: There is no valid API key.
        Forbidden: The key may only read, and the request would change something; or there is a
            valid token instead of a key.
    """
    access = get_runtime().access
    if not (access.is_on or access.has_api_keys):
        return
    key, token = _api_key(request), bearer_token(request)
    if key is None and token is not None:
        if access.is_api_key(token):  # as Prometheus sends it
            key = token
        elif access.is_on:
            access.verify_token(token)
            raise Forbidden(_KEY_REQUIRED)
    changes = request.method not in _SAFE_METHODS
    _key_holder(access, key, changes=changes, required=_KEY_REQUIRED)


def _key_holder(
    access: Access, key: str | None, *, changes: bool, required: str = _CREDENTIALS_REQUIRED
) -> Asker:
    if key is None:
        raise Unauthorized(required if access.is_on else _KEY_REQUIRED)
    if access.verify_api_key(key) is KeyRight.READ and changes:
        raise Forbidden("the API key may only read")
    return Asker(f"key {key}")


def _anonymous(request: HttpRequest, access: Access, action: Action) -> Asker:
    readable = access.anonymous.subscribe
    if action != "subscribe" or access.is_required or not readable:
        raise Unauthorized(_CREDENTIALS_REQUIRED)
    return Asker(
        _address(request), patterns=readable, refusal=Unauthorized, reason=_CREDENTIALS_REQUIRED
    )


def _patterns(identity: Identity, action: Action) -> Patterns:
    patterns: Patterns = getattr(identity, action)
    return patterns


def _bucket_without_auth(request: HttpRequest, access: Access, key: str | None) -> str:
    if key is not None and access.has_api_keys:
        try:
            access.verify_api_key(key)
        except InvalidKey:
            pass
        else:
            return f"key {key}"
    return _address(request)


def _address(request: HttpRequest) -> str:
    if isinstance(request, ASGIRequest):
        address = get_runtime().proxies.address_of(request.scope)
    else:
        address = request.META.get("REMOTE_ADDR", "")
    return f"address {network_of(address)}"


# --- Credentials ---


def _api_key(request: HttpRequest) -> str | None:
    key = request.META.get("HTTP_X_API_KEY")  # quicker than `request.headers`
    # ASGI's headers are bytes, which Django decodes as Latin-1.
    return None if key is None else key.encode("latin-1", "replace").decode(errors="replace")


def bearer_token(request: HttpRequest) -> str | None:
    """Return the token in the header ``Authorization``; ``None`` if there is none."""
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def _session_user(request: HttpRequest, access: Access) -> Any:
    """Return the user of a session; ``None`` without Django's AuthenticationMiddleware."""
    get_user = getattr(request, "auser", None)
    if access.authorizer is None or get_user is None:
        return None
    user = await get_user()
    return user if user.is_authenticated else None


def _check_site(request: HttpRequest) -> None:
    """Check that a request with a session does not come from a page of another site.

    A browser sends the session's cookie with requests of any page, and there is no CSRF token. So a
    request that changes something must say that it comes from the site itself, or from an origin
    that the settings name; ``*`` is not enough.

    Raises:
        Forbidden: It does not.
    """
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    if origin is None:
        if request.headers.get("Sec-Fetch-Site") == "same-origin":
            return
    elif get_runtime().origins.name(origin) or is_own(
        origin, request.get_host(), secure=_is_secure(request)
    ):
        return
    raise Forbidden(
        "with a session, a request must come from a page of this site or of one that "
        "CHATROOM_ALLOWED_ORIGINS names"
    )


def _is_secure(request: HttpRequest) -> bool:
    trusted = get_runtime().proxies
    return request.is_secure() or (
        isinstance(request, ASGIRequest) and trusted.is_secure(request.scope)
    )
