"""The monitoring endpoints: health, statistics and subscriptions."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from pubsub.api.access import check_operator
from pubsub.api.requests import get_broker
from pubsub.api.schemas import ErrorBody, Health, Stats, Subscriptions
from pubsub.processes import neighbours
from pubsub.runtime import get_runtime

router = Router(tags=["Monitoring"])


@router.get("/health", response=Health, exclude_none=True, summary="Check that the server works")
async def health(request: HttpRequest) -> Any:
    """Show that the event loop works, with the number of topics, clients and subscriptions."""
    statistics = get_broker(request).statistics()
    problem = neighbours().message
    status = "split" if problem else "ok"
    if get_runtime().access.is_on:  # everyone may ask, so this is all that anyone gets to know
        return {"status": status}
    return {
        "status": status,
        "uptime_sec": int(statistics.uptime),
        "topics": len(statistics.topics),
        "clients": statistics.clients,
        "subscribers": statistics.subscribers,
        "problem": problem or None,
    }


@router.get("/stats", response={200: Stats, (401, 403): ErrorBody}, summary="Count messages")
async def stats(request: HttpRequest) -> Any:
    """Count published, delivered and dropped messages, by topic and in total."""
    check_operator(request)
    statistics = get_broker(request).statistics()
    return {
        "topics": {
            name: {
                "messages": topic.messages,
                "subscribers": topic.subscribers,
                "delivered": topic.delivered,
                "dropped": topic.dropped,
            }
            for name, topic in statistics.topics.items()
        },
        "totals": {
            "topics": len(statistics.topics),
            "clients": statistics.clients,
            "subscribers": statistics.subscribers,
            "messages": statistics.messages,
            "delivered": statistics.delivered,
            "dropped": statistics.dropped,
            "history_bytes": statistics.history_bytes,
            "history_evicted": statistics.history_evicted,
        },
        "uptime_sec": int(statistics.uptime),
    }


@router.get(
    "/subscriptions",
    response={200: Subscriptions, (401, 403): ErrorBody},
    summary="List the subscriptions",
)
async def subscriptions(request: HttpRequest) -> Any:
    """List the connected clients with their topics, and the topics with their subscribers."""
    check_operator(request)
    broker = get_broker(request)
    by_client = broker.subscriptions()
    by_topic: dict[str, list[str]] = {name: [] for name in broker.subscriber_counts()}
    for client_id, topics in by_client.items():
        for topic in topics:
            by_topic[topic].append(client_id)
    return {
        "total_clients": len(by_client),
        "total_topics": len(by_topic),
        "subscriptions": [
            {"client_id": client_id, "topics": topics} for client_id, topics in by_client.items()
        ],
        "topic_breakdown": by_topic,
    }
