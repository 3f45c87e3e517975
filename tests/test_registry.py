"""The registry of connections: who they are, their limits, and what it forgets."""

from typing import Any

import pytest

from pubsub.connection.connection import Connection
from pubsub.core.configuration import Configuration
from pubsub.registry import Registry
from pubsub.runtime import Runtime
from tests.connection.support import MemoryTransport


class Room:
    """A registry, and connections that know nothing of it."""

    def __init__(self, **config: Any) -> None:
        self._runtime = Runtime(Configuration())
        self.registry = Registry(Configuration(**config))

    def connection(self, address: str = "") -> Connection:
        """Return a new connection."""
        return Connection(self._runtime, MemoryTransport(), address=address)

    def add(self, connection: Connection, user: str | None = None) -> bool:
        """Add a connection of a user; return whether it is admitted."""
        registry = self.registry
        return registry.add(connection) and registry.identify(connection, user)

    def admits(self, address: str, user: str | None = None) -> bool:
        """Add a new connection; return whether it is admitted."""
        return self.add(self.connection(address), user)


async def test_finds_connections() -> None:
    """Connections are found by client and by user."""
    room = Room()
    registry = room.registry
    anonymous, first, second = (room.connection() for _ in range(3))
    for connection in (anonymous, first, second):
        assert registry.add(connection)
    assert registry.identify(second, "ann")
    assert registry.identify(first, "ann")
    entry = registry.of_client(first.client.id)
    assert entry is not None
    assert (entry.connection, entry.user) == (first, "ann")
    assert entry.connected >= 0
    assert registry.of_client("nobody") is None
    assert registry.of_user("ann") == [second, first]
    assert registry.of_user("bob") == []


async def test_forgets_everything() -> None:
    """A closing connection counts no longer, and nothing is kept of one that is gone."""
    room = Room(max_connections=1, max_connections_per_address=1, max_connections_per_user=1)
    registry = room.registry
    for _ in range(3):
        connection = room.connection("192.0.2.1")
        assert room.add(connection, "ann")
        registry.leave(connection)
        assert (len(registry), list(registry.tasks)) == (0, [connection])
        assert registry.remove(connection)
        assert not registry.remove(connection)
    assert not registry.tasks
    kept = [value for value in vars(registry).values() if isinstance(value, dict | list)]
    assert [len(each) for each in kept if each is not registry.refused] == [0] * (len(kept) - 1)
    assert sum(registry.refused.values()) == 0


@pytest.mark.parametrize(
    ("reason", "config", "other"),
    [
        ("connections", {"max_connections": 2}, None),
        ("address", {"max_connections_per_address": 2}, ("192.0.2.2", "ann")),
        ("user", {"max_connections_per_user": 2}, ("192.0.2.1", "bob")),
    ],
)
async def test_limits(reason: str, config: dict[str, int], other: tuple[str, str] | None) -> None:
    """One connection too many is refused, counted, and does not count itself."""
    room = Room(**config)
    registry = room.registry
    admitted = [room.connection("192.0.2.1") for _ in range(2)]
    assert all(room.add(connection, "ann") for connection in admitted)
    refused = room.connection("192.0.2.1")
    assert not room.add(refused, "ann")
    assert {name: count for name, count in registry.refused.items() if count} == {reason: 1}
    assert refused in registry.tasks
    assert refused not in registry.of_user("ann")
    registry.leave(refused)
    assert len(registry) == 2
    assert registry.of_client(refused.client.id) is None
    if other:
        assert room.admits(*other)
    assert not room.admits("192.0.2.1", "ann")
    registry.leave(admitted[0])
    assert room.admits("192.0.2.1", "ann")
    assert "2 refused" in repr(registry)


async def test_limit_of_a_user_who_comes_later() -> None:
    """The limit of a user applies when the user becomes known; others stay what they are."""
    room = Room(max_connections_per_user=1)
    registry = room.registry
    first, second = room.connection(), room.connection()
    assert registry.add(first)
    assert registry.add(second)
    assert registry.identify(first, "ann")
    assert registry.identify(first, "ann")
    assert not registry.identify(second, "ann")
    assert registry.refused["user"] == 1
    assert registry.identify(second, "bob")
    assert registry.identify(first, None)
    assert registry.of_user("ann") == []
    assert registry.identify(second, "ann")
    assert registry.of_user("bob") == []


async def test_unregistered_connection() -> None:
    """One that was refused or has left has no limits left to break."""
    room = Room(max_connections_per_user=1)
    connection = room.connection()
    assert room.registry.identify(connection, "ann")
    assert room.registry.of_user("ann") == []


async def test_unknown_addresses_are_not_limited() -> None:
    """Clients whose address is unknown, as behind a Unix socket, are not one address."""
    room = Room(max_connections_per_address=1)
    assert room.admits("")
    assert room.admits("")


async def test_networks() -> None:
    """An IPv6 address counts with its /64 network, and an IPv4 address is the same in IPv6."""
    room = Room(max_connections_per_address=1)
    assert room.admits("2001:db8::1")
    assert not room.admits("2001:db8::ffff:1")
    assert room.admits("2001:db8:0:1::1")
    assert room.admits("192.0.2.1")
    assert not room.admits("::ffff:192.0.2.1")


async def test_own_publications_over_rest() -> None:
    """A publisher may exclude its own client from a publication, and nobody else's."""
    room = Room()
    anonymous, connection = room.connection(), room.connection()
    room.add(anonymous)
    room.add(connection, "ann")
    registry = room.registry
    assert registry.exclude_for(anonymous.client.id, None) is anonymous.client
    assert registry.exclude_for(connection.client.id, "ann") is connection.client
    assert registry.exclude_for(connection.client.id, "bob") is None
    assert registry.exclude_for(connection.client.id, None) is None
    assert registry.exclude_for("nobody", "ann") is None
