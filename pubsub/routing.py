"""The WebSocket routes, the check of the origin, and ASGI's lifespan."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from channels.routing import URLRouter
from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.urls import Resolver404, path, re_path, resolve

from pubsub import __version__, logs
from pubsub.api import api
from pubsub.consumers import ChatConsumer
from pubsub.processes import neighbours
from pubsub.runtime import get_runtime
from pubsub.transport import daphne

websocket_urlpatterns = [path("ws", ChatConsumer.as_asgi())]


def websocket_application(*, whole_site: bool = False) -> "BrowserOriginValidator":
    """Return the ASGI application for ``websocket``: the routes behind the check of the origin.

    On Daphne this also limits the memory and the time that HTTP requests and responses may take.

    Args:
        whole_site: Limit the request bodies of all paths to ``max_message_bytes``. By default
            only those of `pubsub.urls` are limited, because other views may accept uploads.

    Raises:
        ImproperlyConfigured: The setting ``CHATROOM`` is invalid.
    """
    runtime = get_runtime()
    config = runtime.config
    daphne.install(
        daphne.HttpLimits(
            max_body=config.max_message_bytes,
            is_bounded=(lambda path: True) if whole_site else _is_ours,
            request_timeout=config.request_timeout,
            write_timeout=config.write_timeout,
            accepts_websockets=lambda: not runtime.drain.active,
        )
    )
    daphne.drain_on_signals(runtime.drain)
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


def _is_ours(path: str) -> bool:
    """Return whether a path leads to a view of `pubsub.urls`, wherever a project includes it."""
    try:
        match = resolve(path.removeprefix(settings.FORCE_SCRIPT_NAME or ""))
    except Resolver404:
        return False
    return api.urls_namespace in match.namespaces or match.func.__module__.startswith("pubsub.")


class BrowserOriginValidator(OriginValidator):  # type: ignore[misc]
    """Rejects WebSocket connections from pages whose host is not in ``ALLOWED_HOSTS``.

    Only browsers send an ``Origin`` (RFC 6455 §10.2), and only browsers need the check, because any
    page can make them connect. Clients that send no ``Origin`` are accepted.
    """

    def __init__(self, application: Any) -> None:
        hosts = settings.ALLOWED_HOSTS
        if settings.DEBUG and not hosts:
            hosts = [".localhost", "127.0.0.1", "[::1]"]  # as Django does for HTTP requests
        super().__init__(application, hosts)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Pass the connection on, or reject it with HTTP 403."""
        neighbours().look(scope)
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if all(self.valid_origin(_parsed(origin)) for origin in origins):
            return await self.application(scope, receive, send)
        logs.refused(
            "origin",
            address=get_runtime().proxies.address_of(scope),
            origin=", ".join(origin.decode("latin-1") for origin in origins),
        )
        return await WebsocketDenier()(scope, receive, send)


def _parsed(origin: bytes) -> SplitResult | None:
    try:
        return urlsplit(origin.decode("latin-1"))
    except ValueError:
        return None


async def lifespan(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Acknowledge the server's startup and shutdown events; nothing else depends on them."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            logs.server_stopped()
            return
