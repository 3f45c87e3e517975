"""Converts exceptions to JSON errors."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI

from pubsub.api.access import API_KEY_HEADER, bearer_token
from pubsub.api.limits import TooManyPublications
from pubsub.auth.errors import (
    AccessError,
    ExpiredToken,
    InvalidToken,
    Unauthorized,
)
from pubsub.core.errors import PubSubError, TopicExists
from pubsub.protocol.codes import ErrorCode
from pubsub.protocol.errors import error_code, has_unknown_fate
from pubsub.responses import error_response
from pubsub.runtime import get_runtime


def add_handlers(api: NinjaAPI) -> None:
    """Make ``api`` answer with a JSON error to every exception that a client can cause."""
    for kind, handler in _HANDLERS.items():
        api.exception_handler(kind)(handler)


def response_to(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return the response to an exception that a client can cause; raise every other again."""
    for kind in type(error).__mro__:
        if kind in _HANDLERS:
            return _HANDLERS[kind](request, error)
    raise error


def _on_pubsub_error(request: HttpRequest, error: PubSubError) -> HttpResponse:
    beside = {"unknown_fate": True} if has_unknown_fate(error) else None
    return error_response(error_code(error), str(error), beside=beside)


def _on_topic_exists(request: HttpRequest, error: TopicExists) -> HttpResponse:
    beside = {"status": "exists", "topic": error.topic}
    return error_response(error_code(error), str(error), beside=beside)


def _on_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return error_response(ErrorCode.MESSAGE_TOO_LARGE, "request body is too large")


def on_access_error(request: HttpRequest, error: AccessError) -> HttpResponse:
    """Count a request that its sender may not make, and return the response to it."""
    get_runtime().tally.count_access_error(error)
    if isinstance(error, Unauthorized):
        return _on_unauthorized(request, error)
    return _on_forbidden(request, error)


# RFC 9110 §15.5.2 requires the header; its form for tokens is that of RFC 6750 §3.
def _on_unauthorized(request: HttpRequest, error: Unauthorized) -> HttpResponse:
    response = error_response(ErrorCode.UNAUTHORIZED, str(error))
    challenge = f'{"Bearer" if get_runtime().access.is_on else API_KEY_HEADER} realm="chatroom"'
    if isinstance(error, InvalidToken | ExpiredToken):
        challenge += f', error="invalid_token", error_description="{error}"'
    response["WWW-Authenticate"] = challenge
    return response


def _on_forbidden(request: HttpRequest, error: AccessError) -> HttpResponse:
    response = error_response(ErrorCode.FORBIDDEN, str(error))
    if bearer_token(request) is not None:
        response["WWW-Authenticate"] = 'Bearer realm="chatroom", error="insufficient_scope"'
    return response


def _on_too_many(request: HttpRequest, error: TooManyPublications) -> HttpResponse:
    response = error_response(error.code, str(error))
    response["Retry-After"] = str(error.retry_after)
    return response


_HANDLERS: dict[type, Callable[[HttpRequest, Any], HttpResponse]] = {
    PubSubError: _on_pubsub_error,
    TopicExists: _on_topic_exists,
    RequestDataTooBig: _on_too_big,
    AccessError: on_access_error,
    TooManyPublications: _on_too_many,
}
"""The function that answers each kind of exception; that of the nearest base class counts."""
