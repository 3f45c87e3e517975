"""The WebSocket routes, who may open one, and ASGI's lifespan."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from channels.routing import URLRouter
from channels.security.websocket import OriginValidator, WebsocketDenier
from django.conf import settings
from django.urls import Resolver404, path, re_path, resolve

from pubsub.api import api
from pubsub.console import views
from pubsub.consumers import ChatConsumer
from pubsub.runtime import get_runtime
from pubsub.transport.daphne import http

websocket_urlpatterns = [path("ws", ChatConsumer.as_asgi())]


def websocket_application(*, whole_site: bool = False) -> "BrowserOriginValidator":
    """Return the application for ASGI's ``websocket``: the routes, behind a check of the origin.

    On Daphne this also bounds what HTTP requests and responses may cost.

    Args:
        whole_site: Whether request bodies for any path are limited to one client message, not
            only those for the paths of `pubsub.urls`. Other views of a project may take uploads.

    Raises:
        ImproperlyConfigured: The setting ``CHATROOM`` is wrong.
    """
    limits = get_runtime().limits
    http.install(
        http.HttpLimits(
            max_body=limits.max_message_bytes,
            is_bounded=(lambda path: True) if whole_site else _is_ours,
            request_timeout=getattr(limits, "request_timeout", 20.0),
            write_timeout=limits.write_timeout,
        )
    )
    # URLRouter raises for a path without a route; the last one refuses it.
    refuse_the_rest = re_path("", WebsocketDenier.as_asgi())
    return BrowserOriginValidator(URLRouter([*websocket_urlpatterns, refuse_the_rest]))


def _is_ours(path: str) -> bool:
    """Tell whether a path leads to a view of `pubsub.urls`, wherever a project includes it."""
    try:
        match = resolve(path.removeprefix(settings.FORCE_SCRIPT_NAME or ""))
    except Resolver404:
        return False
    return api.urls_namespace in match.namespaces or match.func.__module__ == views.__name__


class BrowserOriginValidator(OriginValidator):  # type: ignore[misc]
    """Refuses a browser's connection from a page of a host that is not in ``ALLOWED_HOSTS``.

    Only browsers send an ``Origin`` (RFC 6455 §10.2), and only browsers need the check: they can
    be made to connect by a foreign page. A client that sends none passes.
    """

    def __init__(self, application: Any) -> None:
        hosts = settings.ALLOWED_HOSTS
        if settings.DEBUG and not hosts:
            hosts = [".localhost", "127.0.0.1", "[::1]"]  # as Django does for HTTP requests
        super().__init__(application, hosts)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        """Pass the connection on, or refuse it with HTTP 403."""
        origins = [value for name, value in scope["headers"] if name == b"origin"]
        if all(self.valid_origin(_parsed(origin)) for origin in origins):
            return await self.application(scope, receive, send)
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
    """Answer the servers that announce their start and stop. Daphne does not; nothing needs it."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
