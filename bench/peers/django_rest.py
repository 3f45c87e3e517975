"""The REST endpoint of the Channels peers: an asynchronous Django view, and nothing around it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

Publish = Callable[[str, Any], Awaitable[int]]
"""Publishes a message to a topic; returns the number of subscribers."""


def http_application(publish: Publish, urlconf: Any) -> Any:
    """Return the ASGI application for ``POST /topics/{name}/messages``.

    Args:
        publish: What the view calls.
        urlconf: The module of the peer, which gets the ``urlpatterns``.
    """

    async def view(request: HttpRequest, topic: str) -> HttpResponse:
        count = await publish(topic, json.loads(request.body))
        answer = json.dumps({"status": "published", "topic": topic, "subscribers": count})
        headers = {"Content-Type": "application/json", "Content-Length": str(len(answer))}
        return HttpResponse(answer, headers=headers)

    urlconf.urlpatterns = [path("topics/<str:topic>/messages", view)]
    settings.configure(SECRET_KEY="bench", ALLOWED_HOSTS=["*"], ROOT_URLCONF=urlconf.__name__)
    return get_asgi_application()
