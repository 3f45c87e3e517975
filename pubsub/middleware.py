"""What every HTTP response has in common."""

from collections.abc import Awaitable, Callable

import msgspec
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from pubsub.protocol.codes import ErrorCode

GetResponse = Callable[[HttpRequest], Awaitable[HttpResponseBase]]

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_ERRORS = {
    400: (ErrorCode.BAD_REQUEST, "bad request"),
    404: (ErrorCode.NOT_FOUND, "no such path"),
    405: (ErrorCode.METHOD_NOT_ALLOWED, "method not allowed"),
    413: (ErrorCode.MESSAGE_TOO_LARGE, "request body is too large"),
}


@async_only_middleware
def json_errors(get_response: GetResponse) -> GetResponse:
    """Turn every error page into a JSON error, refuse foreign hosts, and add the common headers.

    Django and django-ninja answer in HTML or plain text for what they refuse before a view is
    reached; programs that use the REST endpoints expect JSON from all of them.
    """

    async def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.method == "HEAD":
            request.method = "GET"  # the server leaves the body out (RFC 9110 §9.3.2)
        # Probes ask by address for /health, whatever the names of the site are.
        if request.path != "/health" and not _is_for_us(request):
            response: HttpResponseBase = _error(400, ErrorCode.BAD_REQUEST, "host not allowed")
        else:
            response = await get_response(request)
        is_json = response.get("Content-Type", "").startswith("application/json")
        if response.status_code >= 400 and not is_json:
            response = _as_json(response)
        if isinstance(response, HttpResponse) and response.status_code not in (204, 304):
            response.setdefault("Content-Length", str(len(response.content)))
        for name, value in _HEADERS.items():
            response.setdefault(name, value)
        return response

    return middleware


def _is_for_us(request: HttpRequest) -> bool:
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True


def _error(status: int, code: str, message: str) -> HttpResponse:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return HttpResponse(body, content_type="application/json", status=status)


def _as_json(response: HttpResponseBase) -> HttpResponse:
    fallback = (
        _ERRORS[400] if response.status_code < 500 else (ErrorCode.INTERNAL, "internal error")
    )
    code, message = _ERRORS.get(response.status_code, fallback)
    converted = _error(response.status_code, code, message)
    if "Allow" in response:
        converted["Allow"] = response["Allow"]
    return converted
