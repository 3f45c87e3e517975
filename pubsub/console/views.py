"""The page of the chat room, and the reference of its WebSocket for programs and for people."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import get_script_prefix
from django.views.decorators.http import require_safe

import pubsub
from pubsub.console.reference import outline
from pubsub.processes import WSGI_MESSAGE, is_wsgi
from pubsub.protocol import asyncapi
from pubsub.protocol.codes import ErrorCode
from pubsub.responses import error_response, json_response

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
"""Nothing inline, nothing from another host, and no markup built from strings."""


@require_safe
async def room(request: HttpRequest) -> HttpResponse:
    """Serve the chat room; its REST endpoints are at paths below it, its WebSocket at ``/ws``."""
    return _page(request, "room.html", {"base": request.path, "websocket": _websocket()})


@require_safe
async def websocket_reference(request: HttpRequest) -> HttpResponse:
    """Serve the AsyncAPI document as a page for people."""
    document = _document(request)
    context = outline(document)
    server = document["servers"]["chatroom"]
    context["address"] = f"{server['protocol']}://{server['host']}{_websocket()}"
    context["errors"] = asyncapi.error_codes()
    context["closes"] = asyncapi.close_codes()
    context["base"] = request.path.removesuffix("docs/ws")
    return _page(request, "websocket.html", context)


@require_safe
async def asyncapi_document(request: HttpRequest) -> HttpResponse:
    """Serve the AsyncAPI document, with the address from this request."""
    return json_response(_document(request))


@require_safe
async def websocket(request: HttpRequest) -> HttpResponse:
    """Answer an ordinary request for the path of the WebSocket (RFC 9110 §15.5.22)."""
    if is_wsgi(request):
        return error_response(ErrorCode.UNAVAILABLE, WSGI_MESSAGE)
    scheme = "wss" if request.is_secure() else "ws"
    address = f"{scheme}://{request.get_host()}{_websocket()}"
    response = error_response(
        ErrorCode.UPGRADE_REQUIRED, f"this is a WebSocket; open it with a client for {address}"
    )
    response["Upgrade"] = "websocket"
    response["Connection"] = "Upgrade"
    return response


def _websocket() -> str:
    return f"{get_script_prefix()}ws"


def _document(request: HttpRequest) -> dict[str, Any]:
    return asyncapi.document(
        version=pubsub.__version__,
        host=request.get_host(),
        path=_websocket(),
        secure=request.is_secure(),
    )


def _page(request: HttpRequest, template: str, context: Mapping[str, Any]) -> HttpResponse:
    response = render(request, f"pubsub/console/{template}", context)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response["Cache-Control"] = "no-cache"
    return response
