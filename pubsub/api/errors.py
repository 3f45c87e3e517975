"""Converts exceptions to JSON errors."""

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI

from pubsub.core.errors import PubSubError, TopicExists
from pubsub.protocol.codes import ErrorCode
from pubsub.protocol.errors import error_code
from pubsub.responses import error_response


def add_handlers(api: NinjaAPI) -> None:
    """Make ``api`` answer with a JSON error to every exception that a client can cause."""
    api.exception_handler(PubSubError)(_on_pubsub_error)
    api.exception_handler(TopicExists)(_on_topic_exists)
    api.exception_handler(RequestDataTooBig)(_on_too_big)


def _on_pubsub_error(request: HttpRequest, error: PubSubError) -> HttpResponse:
    return error_response(error_code(error), str(error))


def _on_topic_exists(request: HttpRequest, error: TopicExists) -> HttpResponse:
    beside = {"status": "exists", "topic": error.topic}
    return error_response(error_code(error), str(error), beside=beside)


def _on_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return error_response(ErrorCode.MESSAGE_TOO_LARGE, "request body is too large")
