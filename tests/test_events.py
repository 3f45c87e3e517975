"""The route of streams, and what stands for it where an application does not serve them."""

import json
from typing import Any

import pytest
from channels.testing import ApplicationCommunicator
from django.test import AsyncClient, override_settings

from pubsub.events import is_stream
from pubsub.routing import http_application


async def django(scope: Any, receive: Any, send: Any) -> None:
    """Stand in for Django's application."""
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body"})


def scope_of(path: str, method: str = "GET", query: bytes = b"") -> dict[str, Any]:
    """Return the scope of a request."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": [(b"host", b"localhost")],
    }


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (scope_of("/events"), True),
        (scope_of("/events", "HEAD"), True),
        (scope_of("/events", "POST"), False),
        (scope_of("/topics/events"), False),
        (scope_of("/elsewhere/events"), False),
        (scope_of("/events/"), False),
        ({**scope_of("/site/events"), "root_path": "/site"}, True),
    ],
)
def test_route(scope: dict[str, Any], expected: bool) -> None:
    """A stream is what leads to the route in the URL configuration, with a safe method."""
    assert is_stream(scope) is expected


async def test_other_requests_are_django_s() -> None:
    """All other requests go to Django's application."""
    communicator = ApplicationCommunicator(http_application(django), scope_of("/events", "POST"))
    assert (await communicator.receive_output())["status"] == 418
    await communicator.wait()


@override_settings(CHATROOM={"AUTO_CREATE_TOPICS": True})
async def test_stream_in_a_test_of_channels() -> None:
    """A stream works with the communicator of Channels, and ends when the client leaves."""
    application = http_application(django, middleware=lambda wrapped: wrapped)
    communicator = ApplicationCommunicator(application, scope_of("/events", query=b"topic=t"))
    start = await communicator.receive_output()
    assert start["status"] == 200
    body = await communicator.receive_output()
    assert body["body"].startswith(b'event: ack\ndata: {"type":"ack","topic":"t"')
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait()


async def test_application_that_does_not_serve_streams() -> None:
    """Where Django's application has not been wrapped, the answer says what to do."""
    response = await AsyncClient().get("/events?topic=t")
    error = json.loads(response.content)["error"]
    assert (response.status_code, error["code"]) == (503, "UNAVAILABLE")
    assert "pubsub.routing.http_application" in error["message"]
