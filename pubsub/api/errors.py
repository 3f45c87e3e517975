"""Converts exceptions to JSON errors."""

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
from pubsub.protocol.errors import error_code
from pubsub.responses import error_response
from pubsub.runtime import get_runtime


def add_handlers(api: NinjaAPI) -> None:
    """Make ``api`` answer with a JSON error to every exception that a client can cause."""
    api.exception_handler(PubSubError)(_on_pubsub_error)
    api.exception_handler(TopicExists)(_on_topic_exists)
    api.exception_handler(RequestDataTooBig)(_on_too_big)
    api.exception_handler(AccessError)(on_access_error)
    api.exception_handler(TooManyPublications)(_on_too_many)


def _on_pubsub_error(request: HttpRequest, error: PubSubError) -> HttpResponse:
    return error_response(error_code(error), str(error))


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
