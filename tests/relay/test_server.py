"""Tests for `tests.relay.server`."""

import pytest
from nats.aio.client import Client

from tests.live.waiting import accepts_connections
from tests.relay.server import NatsServer


async def ignore(error: Exception) -> None:
    """Do nothing about an error that `connect` raises as well."""


async def ask(server: NatsServer) -> int:
    """Return the client id that the server gives to a connection."""
    client = Client()
    try:
        await client.connect(server.url, error_cb=ignore, allow_reconnect=False, connect_timeout=1)
        return client.client_id or 0
    finally:
        await client.close()


async def test_server_keeps_its_port() -> None:
    """A server that was killed is reached at the same address after a restart."""
    with NatsServer() as server:
        port = server.port
        await ask(server)
        server.kill()
        assert not accepts_connections(port)
        server.start()
        assert await ask(server)
        assert server.port == port


async def test_paused_server_does_not_answer() -> None:
    """A paused server accepts connections and answers only when it goes on."""
    with NatsServer() as server:
        server.pause()
        with pytest.raises(TimeoutError):
            await ask(server)
        server.resume()
        assert await ask(server)


async def test_servers_are_independent() -> None:
    """Two servers at once have different ports, and one can be stopped by itself."""
    with NatsServer() as one, NatsServer() as other:
        assert one.port != other.port
        one.stop()
        assert await ask(other)
