"""The REST endpoints: topics, publishing, health and statistics."""

from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from ninja import NinjaAPI
from ninja.renderers import BaseRenderer

import pubsub
from pubsub.api import (
    clients,
    documents,
    errors,
    messages,
    monitoring,
    presence,
    probes,
    topics,
)
from pubsub.paths import API_NAMESPACE
from pubsub.responses import json_response

__all__ = ["api", "openapi_document"]


class _Renderer(BaseRenderer):
    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return msgspec.json.encode(data)


api = NinjaAPI(
    title="Chat room",
    version=pubsub.__version__,
    description="Topics, publishing, health and statistics of the chat room. Subscribers get their "
    "messages over the WebSocket at `/ws`.",
    renderer=_Renderer(),
    urls_namespace=API_NAMESPACE,
    docs=documents.Docs(),
)
for router in (
    topics.router,
    presence.router,
    messages.router,
    monitoring.router,
    probes.router,
    clients.router,
):
    api.add_router("", router)
errors.add_handlers(api)


@require_safe
async def openapi_document(request: HttpRequest) -> HttpResponse:
    """Serve the OpenAPI document; django-ninja's own view would build it for each request."""
    return json_response(documents.openapi(api, api.get_root_path({})))
