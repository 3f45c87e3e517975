"""The pages that may open a WebSocket."""

import pytest
from channels.testing import WebsocketCommunicator
from pytest_django import Settings

from pubsub.routing import websocket_application
from pubsub.runtime import get_runtime


@pytest.mark.parametrize(
    ("origin", "admitted"),
    [
        ("http://localhost:8000", True),
        ("http://chat.localhost", True),
        ("http://127.0.0.1:8000", True),
        ("http://[::1]:8000", True),
        ("http://example.org", False),
    ],
)
async def test_local_pages_during_development(
    settings: Settings, origin: str, admitted: bool
) -> None:
    """With DEBUG on and no ALLOWED_HOSTS, only pages of local hosts may open a WebSocket."""
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = []
    host = origin.partition("//")[2]
    headers = [(b"origin", origin.encode()), (b"host", host.encode())]
    client = WebsocketCommunicator(websocket_application(), "/ws", headers=headers)
    assert (await client.connect())[0] is admitted
    await client.disconnect()


@pytest.mark.parametrize(
    ("use_forwarded_host", "origin", "admitted"),
    [
        (True, "https://chat.example", True),
        (True, "https://inner.example", False),
        (False, "https://chat.example", False),
        (False, "https://inner.example", True),
    ],
)
async def test_host_behind_a_proxy(
    settings: Settings, use_forwarded_host: bool, origin: str, admitted: bool
) -> None:
    """The host is the one that Django would use, which a project may take from its proxy."""
    settings.USE_X_FORWARDED_HOST = use_forwarded_host
    settings.ALLOWED_HOSTS = ["chat.example", "inner.example"]
    headers = [
        (b"origin", origin.encode()),
        (b"host", b"inner.example"),
        (b"x-forwarded-host", b"chat.example"),
    ]
    client = WebsocketCommunicator(websocket_application(), "/ws", headers=headers)
    assert (await client.connect())[0] is admitted
    await client.disconnect()


async def test_refused_pages_are_counted(settings: Settings) -> None:
    """Refusals are counted by their reason: the page's origin, or the host of the request."""
    settings.CHATROOM = {}
    settings.ALLOWED_HOSTS = ["chat.example"]
    for host in (b"chat.example", b"chat.example", b"evil.example"):
        headers = [(b"origin", b"https://evil.example"), (b"host", host)]
        client = WebsocketCommunicator(websocket_application(), "/ws", headers=headers)
        assert not (await client.connect())[0]
    refused = get_runtime().registry.refused
    assert (refused["origin"], refused["host"]) == (2, 1)
