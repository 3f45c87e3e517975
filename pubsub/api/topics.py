"""The endpoints that create, list and delete topics."""

from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from pubsub.api.access import identify
from pubsub.api.requests import get_broker, read_body
from pubsub.api.schemas import (
    ErrorBody,
    TopicConflict,
    TopicCreated,
    TopicDeleted,
    TopicList,
    json_body,
)
from pubsub.core.errors import TOPIC_NAME_RULE, InvalidTopicName
from pubsub.protocol import bodies, replies
from pubsub.protocol.errors import BadRequest
from pubsub.protocol.messages import NewTopic

router = Router(tags=["Topics"])


@router.post(
    "/topics",
    response={
        201: TopicCreated,
        409: TopicConflict,
        (400, 401, 403, 413, 415): ErrorBody,
    },
    openapi_extra=json_body(
        NewTopic, plain={"name": "orders"}, with_history={"name": "orders", "history": 100}
    ),
    summary="Create a topic",
)
async def create_topic(request: HttpRequest) -> Any:
    """Create a topic. Of many simultaneous requests for one name exactly one gets 201."""
    asker = await identify(request, "manage")
    topic = bodies.decode_new_topic(read_body(request))
    await asker.check(topic.name)
    try:
        get_broker(request).create_topic(topic.name, history_size=topic.history)
    except InvalidTopicName:
        raise BadRequest(f"name {TOPIC_NAME_RULE}") from None
    return Status(201, {"status": "created", "topic": topic.name})


@router.get("/topics", response={200: TopicList, (401, 403): ErrorBody}, summary="List the topics")
async def list_topics(request: HttpRequest) -> Any:
    """List the topics that the request may read, with their subscribers, sorted by name."""
    asker = await identify(request, "subscribe")
    counts = get_broker(request).subscriber_counts()
    return {
        "topics": [
            {"name": name, "subscribers": count}
            for name, count in counts.items()
            if asker.is_free or await asker.may_use(name)
        ]
    }


@router.delete(
    "/topics/{name}",
    response={200: TopicDeleted, (401, 403, 404): ErrorBody},
    summary="Delete a topic",
)
async def delete_topic(request: HttpRequest, name: str) -> Any:
    """Delete a topic. Its subscribers are notified and stay connected."""
    asker = await identify(request, "manage")
    await asker.check(name)
    get_broker(request).delete_topic(name, replies.encode_topic_deleted(name))
    return {"status": "deleted", "topic": name}
