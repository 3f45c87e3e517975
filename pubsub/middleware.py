"""Common headers for every HTTP response, JSON for every error, and CORS."""

from collections.abc import Awaitable, Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, get_script_prefix, resolve
from django.utils.cache import patch_vary_headers
from django.utils.decorators import async_only_middleware

from pubsub.origins import Origins
from pubsub.paths import is_ours
from pubsub.protocol.codes import ErrorCode
from pubsub.responses import error_response
from pubsub.runtime import get_runtime

PROBES = frozenset({"/health", "/livez", "/readyz"})
"""Paths for every host name: probes use the IP address, which need not be an allowed host."""

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

COMMON_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""The headers of every response, unless a view sets another value."""

_ERRORS = {
    404: (ErrorCode.NOT_FOUND, "no such path"),
    405: (ErrorCode.METHOD_NOT_ALLOWED, "method not allowed"),
    413: (ErrorCode.MESSAGE_TOO_LARGE, "request body is too large"),
}


_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    # `EventSource` may send the last one without asking, but `fetch` may not.
    "Access-Control-Allow-Headers": (
        "Content-Type, Authorization, X-API-Key, X-Client-Id, Last-Event-ID"
    ),
    "Access-Control-Max-Age": "7200",  # the most that Chromium observes
}


@async_only_middleware
def cors(get_response: GetResponse) -> GetResponse:
    """Let pages of the origins in ``CHATROOM_ALLOWED_ORIGINS`` use the REST endpoints.

    It has to come before `json_errors`, so that pages can read errors as well. Views of the project
    that are not the chat room's are left alone, and without listed origins nothing is added at all.
    Cookies are not allowed (there is no ``Access-Control-Allow-Credentials``): pages of other
    origins send a token.
    """

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        origins = get_runtime().origins
        if not origins:
            return await get_response(request)
        origin = request.headers.get("Origin", "")
        is_preflight = "Access-Control-Request-Method" in request.headers
        if is_preflight and request.method == "OPTIONS" and is_ours(request.path_info):
            return _allow(_preflight(origins, origin), origins, origin)
        response = await get_response(request)
        # No view was found for a path that does not exist, or to which a middleware has responded.
        if request.resolver_match is None or is_ours(request.path_info):
            _allow(response, origins, origin)
        return response

    return middleware


def _preflight(origins: Origins, origin: str) -> HttpResponse:
    if origins.list(origin):
        return HttpResponse(status=204, headers=_PREFLIGHT)
    message = "origin not allowed; the server's CHATROOM_ALLOWED_ORIGINS does not list it"
    return error_response(ErrorCode.FORBIDDEN, message)


def _allow(response: HttpResponseBase, origins: Origins, origin: str) -> HttpResponseBase:
    for name, value in origins.cors_headers(origin).items():
        if name == "Vary":
            patch_vary_headers(response, [value])
        else:
            response.setdefault(name, value)
    return response


@async_only_middleware
def json_errors(get_response: GetResponse) -> GetResponse:
    """Convert error pages to JSON, reject hosts that are not allowed, and add the common headers.

    Django and django-ninja answer in HTML or plain text when they reject a request before it
    reaches a view, but clients of the REST endpoints expect JSON in every case.
    """

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method == "HEAD":
            request.method = "GET"  # the server omits the body (RFC 9110 §9.3.2)
        if request.path_info not in PROBES and not _is_allowed_host(request):
            response: HttpResponseBase = error_response(ErrorCode.BAD_REQUEST, "host not allowed")
        else:
            response = await get_response(request)
        is_json = response.get("Content-Type", "").startswith("application/json")
        if response.status_code >= 400 and not is_json:
            response = _as_json(request, response)
        if isinstance(response, HttpResponse) and response.status_code not in (204, 304):
            response.setdefault("Content-Length", str(len(response.content)))
        for name, value in COMMON_HEADERS.items():
            response.setdefault(name, value)
        return response

    return middleware


def _is_allowed_host(request: HttpRequest) -> bool:
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True


def _as_json(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    status = response.status_code
    fallback = (
        (ErrorCode.BAD_REQUEST, "bad request")
        if status < 500
        else (ErrorCode.INTERNAL, "internal error")
    )
    code, message = _ERRORS.get(status, fallback)
    allowed = response.get("Allow")
    if status == 404 and (path := _without_slash(request.path_info)):
        message = f"{message}; use {get_script_prefix().removesuffix('/')}{path}"
    elif status == 405 and allowed:
        message = f"{message}; use {allowed}"
    converted = error_response(code, message, status=status)
    if allowed:
        converted["Allow"] = allowed
    return converted


def _without_slash(path: str) -> str | None:
    """Return the path without its trailing slash if the site has such a path."""
    shorter = path.rstrip("/")
    if not shorter or shorter == path:
        return None
    try:
        resolve(shorter)
    except Resolver404:
        return None
    return shorter
