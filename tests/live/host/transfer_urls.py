"""Views with large requests and responses, and one that never responds."""

import asyncio
from collections.abc import AsyncIterator

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import include, path

MEGABYTE = b"x" * 1_000_000


async def upload(request: HttpRequest) -> JsonResponse:
    """Return the size of the body."""
    return JsonResponse({"size": len(request.body)})


async def _megabytes(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield MEGABYTE


async def download(request: HttpRequest) -> StreamingHttpResponse:
    """Stream 100 MB."""
    return StreamingHttpResponse(_megabytes(100))


async def wait(request: HttpRequest) -> JsonResponse:
    """Never respond."""
    await asyncio.Event().wait()
    return JsonResponse({})


urlpatterns = [
    path("wait", wait),
    path("upload", upload),
    path("download", download),
    path("chat/", include("pubsub.urls")),
]
