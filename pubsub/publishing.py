"""The endpoints that publish messages, as ASGI applications beside Django's.

Django's handler, its URL resolver and django-ninja take most of the time of so short a request.
Here it passes the chat room's own middlewares, and then the same function as in Django's view, so
the rules and the responses are the same. In a project with other middlewares, which may add rules
of their own or find the user of a session, all requests go to Django.
"""

from collections.abc import Awaitable, Callable, Mapping
from io import BytesIO
from typing import Any, cast

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse

from pubsub.api.errors import response_to
from pubsub.api.publications import publish_batch, publish_message
from pubsub.core.errors import PubSubError
from pubsub.middleware import GetResponse, cors, json_errors
from pubsub.protocol.batch import MAX_BATCH_BYTES
from pubsub.runtime import get_runtime

Receive = Callable[[], Awaitable[Mapping[str, Any]]]

Application = Callable[[dict[str, Any], Any, Any], Awaitable[Any]]
"""An ASGI application."""

Endpoint = Callable[[HttpRequest], Awaitable[HttpResponse]]


_MIDDLEWARES = frozenset({"pubsub.middleware.cors", "pubsub.middleware.json_errors"})

_WITHOUT_EFFECT = frozenset({"servestatic.middleware.ServeStaticMiddleware"})
"""Middlewares that do nothing to these requests."""


def replaces_django() -> bool:
    """Return whether the project has no middlewares that are not called here."""
    return set(settings.MIDDLEWARE) - _WITHOUT_EFFECT == _MIDDLEWARES


def application(endpoint: Endpoint) -> Application:
    """Return the ASGI application that answers with what ``endpoint`` returns or raises."""

    async def answer(request: HttpRequest) -> HttpResponse:
        try:
            return await endpoint(request)
        except PubSubError as error:
            return response_to(request, error)

    # This is the order of Django's handler: it handles what an endpoint raises unexpectedly.
    respond = cors(json_errors(cast(GetResponse, convert_exception_to_response(answer))))

    async def serve(scope: dict[str, Any], receive: Receive, send: Any) -> None:
        body = await _read_body(receive, most=_max_body())
        if body is None:
            return
        # None of the responses is streamed.
        response = cast(HttpResponse, await respond(ASGIRequest(scope, BytesIO(body))))
        headers = [(name.encode(), value.encode("latin-1")) for name, value in response.items()]
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        await send({"type": "http.response.body", "body": response.content})

    return serve


async def _publish_to_topic(request: HttpRequest) -> HttpResponse:
    topic = request.path_info.rsplit("/", 2)[-2]
    return await publish_message(request, topic)


publish_one = application(_publish_to_topic)
"""``POST /topics/{name}/messages``."""

publish_many = application(publish_batch)
"""``POST /messages``."""


def _max_body() -> int:
    return max(MAX_BATCH_BYTES, get_runtime().config.max_message_bytes)


async def _read_body(receive: Receive, *, most: int) -> bytes | None:
    """Return the body of a request; ``None`` if the client leaves before its end.

    A body of more than ``most`` bytes is read to its end, but only a little more than ``most`` is
    kept: enough to recognize that it is too large.
    """
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        if size <= most:
            chunks.append(chunk)
            size += len(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
