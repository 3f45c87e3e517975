"""The monitoring endpoints: health, statistics and subscriptions."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from pubsub.api.access import check_operator
from pubsub.api.listings import SubscriptionWriter, write_topics
from pubsub.api.pages import PARAMETERS, Document, read_page
from pubsub.api.requests import SCOPE, about, get_broker, get_cluster, get_inquiry, get_turns
from pubsub.api.room import RoomSubscriptionWriter
from pubsub.api.schemas import ErrorBody, Health, Stats, Subscriptions
from pubsub.processes import neighbours
from pubsub.responses import json_response
from pubsub.runtime import get_runtime

router = Router(tags=["Monitoring"])


@router.get(
    "/health",
    response={200: Health, 400: ErrorBody},
    openapi_extra={"parameters": [SCOPE]},
    summary="Check that the server works",
)
async def health(request: HttpRequest) -> Any:
    """Show that the event loop works, with the number of topics, clients and subscriptions."""
    statistics = get_broker(request).statistics()
    inquiry = get_inquiry(request)
    problem = "" if get_cluster() is not None else neighbours().message
    status = "split" if problem else "ok"
    if get_runtime().access.is_on:  # everyone may ask, so this is all that anyone gets to know
        return json_response({"status": status})
    totals = statistics if inquiry is None else await inquiry.totals()
    shown: dict[str, Any] = {
        "status": status,
        "uptime_sec": int(totals.uptime),
        "topics": totals.topics,
        "clients": totals.clients,
        "subscribers": totals.subscribers,
    }
    if problem:
        shown["problem"] = problem
    return json_response(shown | about(inquiry))


@router.get(
    "/stats",
    response={200: Stats, (400, 401, 403): ErrorBody},
    openapi_extra={"parameters": [*PARAMETERS, SCOPE]},
    summary="Count messages",
)
async def stats(request: HttpRequest) -> Any:
    """Count published, delivered and dropped messages, by topic and in total."""
    check_operator(request)
    page = read_page(request, str)
    broker, turns = get_broker(request), get_turns()
    inquiry = get_inquiry(request)
    document = Document()
    await turns.wait()
    statistics = broker.statistics() if inquiry is None else await inquiry.totals()
    document.open("topics", b"{")
    rest = await write_topics(
        broker, turns, page, lambda topics: document.add(dict(topics)), inquiry=inquiry
    )
    document.close(b"}")
    totals = {
        "topics": statistics.topics,
        "clients": statistics.clients,
        "subscribers": statistics.subscribers,
        "messages": statistics.messages,
        "delivered": statistics.delivered,
        "dropped": statistics.dropped,
        "history_bytes": statistics.history_bytes,
        "history_evicted": statistics.history_evicted,
    }
    uptime = int(statistics.uptime)
    document.add({"totals": totals, "uptime_sec": uptime, **rest, **about(inquiry)})
    return document.response()


@router.get(
    "/subscriptions",
    response={200: Subscriptions, (400, 401, 403): ErrorBody},
    openapi_extra={"parameters": [*PARAMETERS, SCOPE]},
    summary="List the subscriptions",
)
async def subscriptions(request: HttpRequest) -> Any:
    """List the connected clients with their topics, and the topics with their subscribers.

    The topics of a page are those of its clients. Those without subscribers come last.
    """
    check_operator(request)
    page = read_page(request, int, str)
    broker, turns = get_broker(request), get_turns()
    inquiry = get_inquiry(request)
    document = Document()
    await turns.wait()
    writer = SubscriptionWriter(document, turns, broker)
    if inquiry is not None:
        writer = RoomSubscriptionWriter(document, turns, broker, inquiry)
    statistics = broker.statistics() if inquiry is None else await inquiry.totals()
    document.add({"total_clients": statistics.clients, "total_topics": statistics.topics})
    document.add(await writer.write(page) | about(inquiry))
    return document.response()
