"""What the endpoints need from a request: its body, whom it is about, and the broker."""

from typing import Any

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from pubsub.cluster.cluster import Cluster
from pubsub.cluster.figures.figures import Inquiry
from pubsub.core.broker import Broker
from pubsub.processes import WSGI_MESSAGE, is_wsgi, neighbours
from pubsub.protocol.errors import BadRequest, MessageTooLarge, Unavailable, UnsupportedMediaType
from pubsub.runtime import get_runtime
from pubsub.turns import Turns

SCOPE: dict[str, Any] = {
    "name": "scope",
    "in": "query",
    "description": "Whether the answer is about all processes of the room, or about the one that "
    "answers. Without a cluster there is only one.",
    "schema": {"type": "string", "enum": ["room", "process"], "default": "room"},
}
"""The query parameter of the endpoints that answer for the room, for the OpenAPI document."""


def get_cluster() -> Cluster | None:
    """Return the other processes of the room; ``None`` if there can be none."""
    return get_runtime().cluster


def get_inquiry(request: HttpRequest) -> Inquiry | None:
    """Return what asks all processes; ``None`` if the request is about this one alone.

    Raises:
        BadRequest: ``scope`` is invalid.
    """
    scope = request.GET.get("scope", "room")
    if scope not in SCOPE["schema"]["enum"]:
        raise BadRequest("scope must be room or process")
    cluster = get_cluster()
    if cluster is None or scope == "process":
        return None
    return cluster.figures.inquire()


def about(inquiry: Inquiry | None) -> dict[str, Any]:
    """Return the fields that tell which processes an answer is about; none without a cluster."""
    if inquiry is None:
        return {}
    fields: dict[str, Any] = {"processes": inquiry.processes()}
    return fields if inquiry.is_complete else {**fields, "complete": False}


def read_body(request: HttpRequest, limit: int | None = None) -> bytes:
    """Return the body of a request, which must be declared to be JSON.

    Args:
        request: The request.
        limit: Bytes that the body may have; by default ``max_message_bytes``.

    Raises:
        UnsupportedMediaType: The content type is not ``application/json``.
        MessageTooLarge: The body has more than ``limit`` bytes.
    """
    if request.content_type != "application/json":
        raise UnsupportedMediaType("Content-Type must be application/json")
    if limit is None:
        limit = get_runtime().config.max_message_bytes
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if (declared.isdecimal() and int(declared) > limit) or len(request.body) > limit:
        raise MessageTooLarge(f"request body exceeds {limit} bytes")
    return request.body


def get_broker(request: HttpRequest) -> Broker:
    """Return the broker that serves the clients of this process.

    Raises:
        Unavailable: The request came over WSGI, so this process cannot serve clients.
    """
    if is_wsgi(request):
        raise Unavailable(WSGI_MESSAGE)
    if isinstance(request, ASGIRequest):
        neighbours().look(request.scope)
    return get_runtime().enter()


def get_turns() -> Turns:
    """Return the turns of the event loop that serves the clients of this process."""
    return get_runtime().turns
