"""The page of the chat room, and the description of its WebSocket for programs and for people."""

from collections.abc import Mapping
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import get_script_prefix
from django.views.decorators.http import require_safe

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)
"""Nothing inline, nothing from another host, and no markup made of strings."""


def _page(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    response = render(request, f"pubsub/console/{template}", context)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Cache-Control"] = "no-cache"
    return response


@require_safe
async def room(request: HttpRequest) -> HttpResponse:
    """Serve the chat room; its REST endpoints are beside it, its WebSocket is the site's ``/ws``."""
    context = {"base": request.path, "websocket": f"{get_script_prefix()}ws"}
    return _page(request, "room.html", context)
