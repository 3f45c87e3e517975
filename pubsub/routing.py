"""The routes beside Django's: WebSockets, some HTTP endpoints, and ASGI's lifespan."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from channels.routing import URLRouter
from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import get_script_prefix
from django.urls import path, re_path

from pubsub import __version__, conf, logs, publishing
from pubsub.consumers import ChatConsumer
from pubsub.events import EventStreams, is_stream, refuse_origin
from pubsub.hosts import is_allowed_host
from pubsub.origins import is_own
from pubsub.paths import below_mount, is_ours
from pubsub.processes import neighbours
from pubsub.protocol.batch import MAX_BATCH_BYTES
from pubsub.runtime import Runtime, check_relay, get_runtime
from pubsub.transport import daphne

HTTP_ROUTES: Mapping[tuple[str, str], publishing.Application] = {
    ("POST", "messages"): publishing.publish_many,
    ("POST", "topics/*/messages"): publishing.publish_one,
}
"""The applications for methods and paths below the place of `pubsub.urls`; `*` is a topic."""


def http_application(
    django_application: publishing.Application,
    *,
    middleware: Callable[[publishing.Application], publishing.Application] | None = None,
) -> publishing.Application:
    """Return the ASGI application for ``http``: Django's, and some endpoints beside it.

    Beside it are the streams of server-sent events, and publications. Django has views for the
    latter as well, which give the same answers several times more slowly. They serve projects
    without this application, and those with middlewares of their own.

    Args:
        django_application: What ``get_asgi_application()`` returns.
        middleware: Wraps the application for streams, as `AuthMiddlewareStack` of Channels does,
            which finds the user of a session. Django's own middleware does not see streams.
    """
    streams: publishing.Application = BrowserOriginValidator(EventStreams(), deny=refuse_origin)
    if middleware is not None:
        streams = middleware(streams)

    async def application(scope: Any, receive: Any, send: Any) -> None:
        chosen = streams if is_stream(scope) else _beside_django(scope) or django_application
        await chosen(scope, receive, send)

    return application


def _beside_django(scope: Mapping[str, Any]) -> publishing.Application | None:
    path = below_mount(scope["path"].removeprefix(get_script_prefix(scope)))
    if path is None or not publishing.replaces_django():
        return None
    if path.startswith("topics/") and path.count("/") == 2:
        before, topic, after = path.split("/")
        path = f"{before}/*/{after}" if topic else path
    return HTTP_ROUTES.get((scope["method"], path))


websocket_urlpatterns = [path("ws", ChatConsumer.as_asgi())]


def websocket_application(*, whole_site: bool = False) -> "BrowserOriginValidator":
    """Return the ASGI application for ``websocket``: the routes behind the check of the origin.

    On Daphne this also limits the memory and the time that HTTP requests and responses may take.

    Args:
        whole_site: Limit the request bodies of all paths to ``max_message_bytes``. By default
            only those of `pubsub.urls` are limited, because other views may accept uploads. The
            limit of ``POST /messages`` is `MAX_BATCH_BYTES`.

    Raises:
        ImproperlyConfigured: The setting ``CHATROOM`` is invalid, or the relay does not take the
            largest message of a client.
    """
    runtime = get_runtime()
    config = runtime.config
    try:
        check_relay(conf.get_relay_configuration(), config)
    except ValueError as error:
        raise ImproperlyConfigured(str(error)) from None
    daphne.install(
        daphne.HttpLimits(
            max_handshake_body=config.max_message_bytes,
            max_body=functools.partial(_max_body, config.max_message_bytes, whole_site),
            request_timeout=config.request_timeout,
            write_timeout=config.write_timeout,
            accepts_websockets=runtime.accepts_clients,
            headers_for=runtime.origins.cors_headers,
            trusts=runtime.proxies.trusts,
        )
    )
    daphne.drain_on_signals(runtime.drain)
    if runtime.cluster is not None:
        daphne.start_when_running(runtime.enter)
    logs.server_started(
        __version__,
        access=runtime.access.config.auth.value,
        max_connections=config.max_connections,
        max_topics=config.max_topics,
        max_subscriptions=config.max_subscriptions,
        max_message_bytes=config.max_message_bytes,
        rate_limit=config.rate_limit,
        queue_size=config.queue_size,
        queue_bytes=config.queue_bytes,
        history_bytes=config.history_bytes,
        overflow=config.overflow.value,
    )
    # URLRouter raises ValueError for an unknown path, so the last route matches and rejects it.
    refuse_the_rest = re_path("", WebsocketDenier.as_asgi())
    return BrowserOriginValidator(URLRouter([*websocket_urlpatterns, refuse_the_rest]))


def _max_body(usual: int, whole_site: bool, path: str) -> int | None:
    """Return the largest size in bytes of a request body for a path; ``None`` for no limit."""
    path = path.removeprefix(settings.FORCE_SCRIPT_NAME or "")
    if below_mount(path) == "messages":
        return MAX_BATCH_BYTES
    return usual if whole_site or is_ours(path) else None


class BrowserOriginValidator:
    """Rejects WebSocket connections and requests for streams from pages that may not connect.

    A page may connect to its own host and port, or if its origin is in ``ALLOWED_ORIGINS``. In both
    cases the host of the request must be in Django's ``ALLOWED_HOSTS``.

    Only browsers send an ``Origin`` (RFC 6455 §10.2), and only browsers need the check, because any
    page can make them connect. Clients that send no ``Origin`` are accepted.

    Args:
        application: The ASGI application that gets the others.
        deny: The ASGI application that rejects a client; by default one for WebSockets.
    """

    def __init__(
        self,
        application: publishing.Application,
        *,
        deny: publishing.Application | None = None,
    ) -> None:
        self.application = application
        self.deny = deny or WebsocketDenier()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Pass the connection on, or reject it with HTTP 403."""
        neighbours().look(scope)
        origins = _values(scope, b"origin")
        if origins:
            runtime = get_runtime()
            origin = ",".join(origins)
            if reason := _refusal(runtime, scope, origin):
                runtime.registry.refused[reason] += 1
                logs.refused(
                    reason,
                    address=runtime.proxies.address_of(scope),
                    origin=", ".join(origins),
                    host=", ".join(_values(scope, b"host")),
                )
                return await self.deny(scope, receive, send)
            if not _is_named(runtime, scope, origin):
                # Any page may connect, but not with the session of its visitor.
                scope = {**scope, "user": None}
        return await self.application(scope, receive, send)


def _refusal(runtime: Runtime, scope: dict[str, Any], origin: str) -> str | None:
    """Return the reason of `pubsub.registry.REASONS` for which a page may not connect."""
    if not is_allowed_host(_host(scope)):
        return "host"
    if runtime.origins.lists_any or _is_named(runtime, scope, origin):
        return None
    return "origin"


def _is_named(runtime: Runtime, scope: dict[str, Any], origin: str) -> bool:
    """Return whether an origin is the site's own, or one that the settings name."""
    secure = runtime.proxies.is_secure(scope)
    return is_own(origin, _host(scope), secure=secure) or runtime.origins.name(origin)


def _host(scope: dict[str, Any]) -> str:
    return ",".join(
        (settings.USE_X_FORWARDED_HOST and _values(scope, b"x-forwarded-host"))
        or _values(scope, b"host")
    )


def _values(scope: dict[str, Any], name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


async def lifespan(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Acknowledge the server's startup and shutdown events, and join other processes in between.

    Only Daphne sends the clients away itself; see `pubsub.transport.on_stop`.
    """
    while True:
        message = await receive()
        runtime = get_runtime()
        if runtime.cluster is not None:
            if message["type"] == "lifespan.startup":
                runtime.enter()
            else:
                await runtime.cluster.stop()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            logs.server_stopped()
            return
