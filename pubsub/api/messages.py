"""The endpoints that publish messages, and the one that returns past ones."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from pubsub.api import history
from pubsub.api.access import identify
from pubsub.api.publications import publish_batch, publish_message
from pubsub.api.requests import get_broker, get_cluster, get_turns
from pubsub.api.schemas import BatchResults, ErrorBody, History, Published, batch_body, json_body
from pubsub.protocol.messages import Publication
from pubsub.protocol.replies import encode_history_body
from pubsub.responses import json_response

router = Router(tags=["Messages"])

_ID = "550e8400-e29b-41d4-a716-446655440000"


@router.post(
    "/topics/{name}/messages",
    response={200: Published, (400, 401, 403, 404, 413, 415, 429, 503): ErrorBody},
    openapi_extra=json_body(
        Publication,
        plain={"payload": {"order_id": "ORD-123", "amount": 99.5}},
        with_id={"id": _ID, "payload": "hello"},
        once={"id": _ID, "payload": "hello", "once": True},
    ),
    summary="Publish a message",
)
async def publish(request: HttpRequest, name: str) -> Any:
    """Publish a message to a topic. The payload reaches subscribers byte for byte.

    A client that names itself in the header `X-Client-Id` gets no copy of its own message.
    """
    return await publish_message(request, name)


@router.get(
    "/topics/{name}/messages",
    response={200: History, (400, 401, 403, 404, 503): ErrorBody},
    openapi_extra={"parameters": history.PARAMETERS},
    summary="Get past messages",
)
async def get_messages(request: HttpRequest, name: str) -> Any:
    """Get messages that a topic keeps, oldest first: the newest, or those after a position."""
    asker = await identify(request, "subscribe")
    await asker.check(name)
    since, limit = history.read_query(request)
    broker, cluster = get_broker(request), get_cluster()
    if cluster is not None and cluster.must_catch_up(name):
        await cluster.catch_up(name)
    await get_turns().wait()
    page = broker.history(name, since=since, limit=limit)
    return json_response(encode_history_body(name, page))


@router.post(
    "/messages",
    response={200: BatchResults, (400, 401, 403, 413, 415): ErrorBody},
    openapi_extra=batch_body(
        plain={
            "messages": [
                {"topic": "orders", "payload": {"order_id": "ORD-123", "amount": 99.5}},
                {"topic": "news", "id": _ID, "payload": "hello"},
            ]
        },
    ),
    summary="Publish many messages",
)
async def publish_many(request: HttpRequest) -> Any:
    """Publish up to 1,000 messages, of up to 1 MiB together, in their order.

    Each of them is published or refused by itself; `results` has the outcomes in the same order.
    A client that names itself in the header `X-Client-Id` gets no copies of its own messages.
    """
    return await publish_batch(request)
