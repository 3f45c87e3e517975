"""The endpoints that create, list, show and delete topics."""

import dataclasses
from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from pubsub.api.access import identify
from pubsub.api.listings import write_topics
from pubsub.api.pages import PARAMETERS, Document, read_page
from pubsub.api.requests import (
    SCOPE,
    about,
    get_broker,
    get_cluster,
    get_inquiry,
    get_turns,
    read_body,
)
from pubsub.api.schemas import (
    ErrorBody,
    TopicConflict,
    TopicCreated,
    TopicDeleted,
    TopicDetails,
    TopicList,
    json_body,
)
from pubsub.core.counters import TopicStatistics
from pubsub.core.errors import TOPIC_NAME_RULE, InvalidTopicName
from pubsub.protocol import bodies, replies
from pubsub.protocol.errors import BadRequest
from pubsub.protocol.messages import NewTopic
from pubsub.responses import json_response

router = Router(tags=["Topics"])


@router.post(
    "/topics",
    response={
        201: TopicCreated,
        409: TopicConflict,
        (400, 401, 403, 413, 415, 503): ErrorBody,
    },
    openapi_extra=json_body(
        NewTopic,
        plain={"name": "orders"},
        with_history={"name": "orders", "history": 100, "history_seconds": 600},
        with_all_options={
            "name": "orders",
            "history": 100,
            "history_seconds": 600,
            "presence": True,
            "overflow": "catch_up",
        },
    ),
    summary="Create a topic",
)
async def create_topic(request: HttpRequest) -> Any:
    """Create a topic. Of many simultaneous requests for one name exactly one gets 201."""
    asker = await identify(request, "manage")
    topic = bodies.decode_new_topic(read_body(request))
    await asker.check(topic.name)
    broker, cluster = get_broker(request), get_cluster()
    try:
        if cluster is None:
            broker.create_topic(topic.name, topic.options)
        else:
            await cluster.create_topic(topic.name, topic.options)
    except InvalidTopicName:
        raise BadRequest(f"name {TOPIC_NAME_RULE}") from None
    return Status(201, {"status": "created", "topic": topic.name})


@router.get(
    "/topics",
    response={200: TopicList, (400, 401, 403): ErrorBody},
    openapi_extra={"parameters": [*PARAMETERS, SCOPE]},
    summary="List the topics",
)
async def list_topics(request: HttpRequest) -> Any:
    """List the topics that the request may read, with their subscribers, sorted by name."""
    asker = await identify(request, "subscribe")
    page = read_page(request, str)
    broker, turns = get_broker(request), get_turns()
    inquiry = get_inquiry(request)

    def write(topics: list[tuple[str, TopicStatistics]]) -> None:
        document.add([{"name": name, "subscribers": each.subscribers} for name, each in topics])

    document = Document()
    await turns.wait()
    visible = await asker.visible(broker, turns, page.prefix)
    document.open("topics", b"[")
    rest = await write_topics(broker, turns, page, write, visible=visible, inquiry=inquiry)
    document.close(b"]")
    document.add(rest | about(inquiry))
    return document.response()


@router.get(
    "/topics/{name}",
    response={200: TopicDetails, (400, 401, 403, 404): ErrorBody},
    openapi_extra={"parameters": [SCOPE]},
    summary="Show a topic",
)
async def show_topic(request: HttpRequest, name: str) -> Any:
    """Show a topic with its options, its position and its counters."""
    asker = await identify(request, "subscribe")
    await asker.check(name)
    topic = get_broker(request).topic(name)
    inquiry = get_inquiry(request)
    options, counters, position = topic.options, topic.statistics(), topic.position
    if inquiry is not None:
        ((_, counters),) = await inquiry.topics([(name, counters)])
        if position is not None:
            position = await inquiry.position(name) or position
    shown: dict[str, Any] = {
        "name": name,
        "history": options.history,
        "history_seconds": options.history_seconds or None,
        "presence": options.presence,
        "overflow": options.overflow,
    }
    if position is not None:
        shown |= {"epoch": position.epoch, "offset": position.offset}
    return json_response(shown | dataclasses.asdict(counters) | about(inquiry))


@router.delete(
    "/topics/{name}",
    response={200: TopicDeleted, (401, 403, 404, 503): ErrorBody},
    summary="Delete a topic",
)
async def delete_topic(request: HttpRequest, name: str) -> Any:
    """Delete a topic. Its subscribers are notified and stay connected."""
    asker = await identify(request, "manage")
    await asker.check(name)
    broker, cluster = get_broker(request), get_cluster()
    if cluster is None:
        broker.delete_topic(name, replies.encode_topic_deleted(name))
    else:
        await cluster.delete_topic(name)
    return {"status": "deleted", "topic": name}
