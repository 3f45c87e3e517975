"""The endpoint that publishes a message."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from pubsub.api.access import identify
from pubsub.api.limits import count_publication
from pubsub.api.requests import get_broker, read_body
from pubsub.api.schemas import ErrorBody, Published, json_body
from pubsub.protocol import bodies
from pubsub.protocol.messages import Publication
from pubsub.runtime import get_runtime

router = Router(tags=["Messages"])


@router.post(
    "/topics/{name}/messages",
    response={200: Published, (400, 401, 403, 404, 413, 415, 429): ErrorBody},
    openapi_extra=json_body(
        Publication,
        plain={"payload": {"order_id": "ORD-123", "amount": 99.5}},
        with_id={"id": "550e8400-e29b-41d4-a716-446655440000", "payload": "hello"},
    ),
    summary="Publish a message",
)
async def publish(request: HttpRequest, name: str) -> Any:
    """Publish a message to a topic. The payload reaches subscribers byte for byte."""
    asker = await identify(request, "publish")
    await asker.check(name)
    count_publication(asker.bucket)
    publication = bodies.decode_publication(read_body(request))
    message_id = str(publication.id)
    published = get_broker(request).publish(name, message_id, publication.payload, user=asker.user)
    get_runtime().tally.rest_publications += 1
    return {
        "status": "published",
        "topic": name,
        "id": message_id,
        "subscribers": published.subscribers,
    }
