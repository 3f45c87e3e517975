"""Views that publish from a synchronous view, the event loop, and a thread."""

import threading
from typing import Any

from django.http import HttpRequest, JsonResponse
from django.urls import include, path

import pubsub


def sync_view(request: HttpRequest) -> JsonResponse:
    """Publish from the thread pool in which Django runs synchronous views."""
    return JsonResponse({"subscribers": pubsub.publish("orders", {"from": "sync", "n": 99.5})})


async def async_view(request: HttpRequest) -> JsonResponse:
    """Publish from the event loop itself."""
    return JsonResponse({"subscribers": pubsub.publish("orders", {"from": "async"})})


def thread_view(request: HttpRequest) -> JsonResponse:
    """Publish 100 messages in order from a separate thread."""
    counts: list[Any] = []
    thread = threading.Thread(
        target=lambda: counts.extend(pubsub.publish("orders", number) for number in range(100))
    )
    thread.start()
    thread.join()
    return JsonResponse({"subscribers": counts[-1]})


def wrong_view(request: HttpRequest) -> JsonResponse:
    """Publish to a topic that does not exist."""
    try:
        pubsub.publish("missing", 1)
    except pubsub.TopicNotFound as error:
        return JsonResponse({"error": str(error), "topic": error.topic})
    return JsonResponse({})


urlpatterns = [
    path("publish/sync", sync_view),
    path("publish/async", async_view),
    path("publish/thread", thread_view),
    path("publish/wrong", wrong_view),
    path("chat/", include("pubsub.urls")),
]
