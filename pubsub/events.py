"""``GET /events``: the entry point for clients without a WebSocket.

`EventStreams` is an ASGI application of its own, because a response that lasts for hours must not
occupy a request of Django's. `pubsub.routing.http_application` puts it beside Django's.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from django.core.exceptions import DisallowedHost, TooManyFieldsSent
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.views.decorators.http import require_safe

from pubsub import logs
from pubsub.api.errors import on_access_error
from pubsub.auth import handshake
from pubsub.auth.errors import AccessError
from pubsub.connection.stream import Credentials, Stream, Wanted
from pubsub.core.errors import PubSubError
from pubsub.middleware import COMMON_HEADERS
from pubsub.protocol.codes import ErrorCode
from pubsub.protocol.errors import BadRequest, TooManyConnections, Unavailable, error_code
from pubsub.responses import HTTP_STATUSES, error_response
from pubsub.runtime import Runtime, get_runtime
from pubsub.transport import open_stream, sse
from pubsub.transport.base import Receive, Send

CLIENT_ID_HEADER = "X-Client-Id"

_STATUSES = {**HTTP_STATUSES, ErrorCode.LIMIT_EXCEEDED: 429}

_NOT_SERVED = (
    "this application does not serve event streams; "
    "wrap Django's application in pubsub.routing.http_application"
)

_MAX_DIGITS = 18
"""Digits of ``last_n``; more would be no number of messages."""


@require_safe
async def not_served(request: HttpRequest) -> HttpResponse:
    """Stand in for `EventStreams` among Django's views, where the route is declared.

    It answers the methods that are not allowed, and everything where Django's application has not
    been wrapped.
    """
    return error_response(ErrorCode.UNAVAILABLE, _NOT_SERVED)


def is_stream(scope: Mapping[str, Any]) -> bool:
    """Return whether an HTTP request is for a stream, wherever a project has the route."""
    path: str = scope["path"]
    if not path.endswith("/events") or scope["method"] not in ("GET", "HEAD"):
        return False
    try:
        return resolve(path.removeprefix(get_script_prefix(scope))).func is not_served
    except Resolver404:
        return False


class EventStreams:
    """The ASGI application for streams of server-sent events."""

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Refuse the request, or serve the stream until its end."""
        runtime = get_runtime()
        runtime.enter()
        stream = Stream(runtime, address=runtime.proxies.address_of(scope))
        try:
            is_open = await _open(stream, runtime, scope, receive, send)
        except PubSubError as error:
            stream.abandon()
            await _refuse(error, runtime, scope, send)
        except BaseException:
            stream.abandon()
            raise
        else:
            if is_open:
                await stream.run()


async def _open(
    stream: Stream, runtime: Runtime, scope: dict[str, Any], receive: Receive, send: Send
) -> bool:
    """Begin the response; return whether a stream follows, which a HEAD request does not get."""
    request = ASGIRequest(scope, BytesIO())
    _check_host(request)
    if not runtime.accepts_clients():
        raise _Draining("the server is stopping")
    bookmark = await stream.prepare(_credentials(runtime, scope), _wanted(request))
    headers = [*sse.HEADERS, *_encoded({**COMMON_HEADERS, **_cors_headers(runtime, request)})]
    if request.method == "HEAD":
        stream.abandon()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body"})
        return False
    transport = await open_stream(
        scope,
        receive,
        send,
        headers=headers,
        bookmark=bookmark,
        timeouts=runtime.timeouts,
        traffic=runtime.traffic,
    )
    stream.open(transport)
    return True


class _Draining(Unavailable):
    """The server is stopping."""


# --- The request ---


def _check_host(request: HttpRequest) -> None:
    # A page of the same origin sends no `Origin`, and the name of its host may be rebound.
    try:
        request.get_host()
    except DisallowedHost:
        raise BadRequest("host not allowed") from None


def _credentials(runtime: Runtime, scope: Mapping[str, Any]) -> Credentials:
    access = runtime.access
    if not access.is_on:
        return Credentials()
    return Credentials(
        api_key=handshake.api_key_of(scope),
        user=handshake.user_of(scope) if access.authorizer else None,
        token=handshake.token_of(scope),
    )


def _wanted(request: HttpRequest) -> Wanted:
    try:
        query = request.GET
    except TooManyFieldsSent:
        raise BadRequest("the query has too many parameters") from None
    topics = list(dict.fromkeys(query.getlist("topic")))
    if not topics:
        raise BadRequest("topic is required")
    last_n = query.get("last_n", "0")
    if not (last_n.isascii() and last_n.isdecimal() and len(last_n) <= _MAX_DIGITS):
        raise BadRequest("last_n must be an integer of at least 0")
    return Wanted(
        topics=topics,
        last_n=int(last_n),
        since=_since(request, query.get("last_event_id")),
        former_id=request.headers.get(CLIENT_ID_HEADER),
    )


def _since(request: HttpRequest, parameter: str | None) -> dict[str, int] | None:
    """Return the positions that the client has reached.

    A browser repeats the parameter whenever it reconnects, so the header is the newer one. Nobody
    can change the header of an ``EventSource``, so one without a position is no error: nothing is
    recovered then.
    """
    if header := request.headers.get("Last-Event-ID"):
        return sse.parse_id(header) or {}
    if parameter is None:
        return None
    positions = sse.parse_id(parameter)
    if positions is None:
        raise BadRequest("last_event_id must be the id of an event")
    return positions


# --- The response, if it is no stream ---


async def refuse_origin(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Refuse the page of another site, as an ASGI application."""
    message = "origin not allowed; the server's CHATROOM_ALLOWED_ORIGINS does not list it"
    await _respond(error_response(ErrorCode.FORBIDDEN, message), get_runtime(), scope, send)


async def _refuse(error: PubSubError, runtime: Runtime, scope: dict[str, Any], send: Send) -> None:
    if isinstance(error, TooManyConnections):
        logs.refused(error.reason, address=runtime.proxies.address_of(scope))
    if isinstance(error, AccessError):
        response = on_access_error(ASGIRequest(scope, BytesIO()), error)
    else:
        code = error_code(error)
        beside = {"status": "draining"} if isinstance(error, _Draining) else None
        response = error_response(code, str(error), status=_STATUSES[code], beside=beside)
    await _respond(response, runtime, scope, send)


async def _respond(
    response: HttpResponse, runtime: Runtime, scope: dict[str, Any], send: Send
) -> None:
    headers = {
        **COMMON_HEADERS,
        **_cors_headers(runtime, ASGIRequest(scope, BytesIO())),
        **response.headers,
        "Content-Length": str(len(response.content)),
    }
    start = {"type": "http.response.start", "status": response.status_code}
    await send({**start, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": response.content})


def _cors_headers(runtime: Runtime, request: HttpRequest) -> dict[str, str]:
    return runtime.origins.cors_headers(request.headers.get("Origin", ""))


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
