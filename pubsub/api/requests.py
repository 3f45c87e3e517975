"""What the endpoints need from a request: its body, and the broker on its event loop."""

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest

from pubsub.cluster.cluster import Cluster
from pubsub.core.broker import Broker
from pubsub.processes import WSGI_MESSAGE, is_wsgi, neighbours
from pubsub.protocol.errors import MessageTooLarge, Unavailable, UnsupportedMediaType
from pubsub.runtime import get_runtime
from pubsub.turns import Turns


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


def get_cluster() -> Cluster | None:
    """Return the other processes of the room; ``None`` if there can be none."""
    return get_runtime().cluster


def get_turns() -> Turns:
    """Return the turns of the event loop that serves the clients of this process."""
    return get_runtime().turns
