"""The pages that may open a WebSocket."""

import pytest
from channels.testing import WebsocketCommunicator
from pytest_django import Settings

from pubsub.routing import websocket_application


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
