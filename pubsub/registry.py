"""The connections of a process: who they are, how many there may be, and which were refused."""

import asyncio
import time
from collections import Counter
from typing import Any, Protocol

from pubsub import drain
from pubsub.core.client import Client
from pubsub.core.configuration import Configuration
from pubsub.proxies import network_of
from pubsub.transport.base import Reason

REASONS = ("connections", "address", "user", "origin", "host", "draining")
"""Why a connection may be refused: too many in total, from its address or of its user; a page that
may not connect; a ``Host`` that is not allowed; or a server that is stopping."""


class Session(Protocol):
    """Who a client is, as far as others need to know."""

    def recheck(self) -> None:
        """Ask the authorizer again, and end the subscriptions that are no longer allowed."""


class Connection(drain.Connection, Protocol):
    """A client's connection, as the runtime sees it."""

    client: Client
    address: str
    """The client's IP address; empty if it is unknown."""

    @property
    def session(self) -> Session | None:
        """Who the client is; ``None`` without access control."""

    def close(self, reason: Reason) -> None:
        """Leave every topic, discard the outbox, and close after what was already written."""


class Entry:
    """One connection that counts: it was admitted, and is not closing."""

    __slots__ = ("connection", "network", "since", "user")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.network = network_of(connection.address)
        self.user: str | None = None
        self.since = time.monotonic()

    @property
    def connected(self) -> float:
        """Seconds for which the client has been connected."""
        return time.monotonic() - self.since


class Registry:
    """All connections of a process, by client and by user, and the limits of their number.

    A connection is added when its handshake is complete, leaves when it begins to close, and is
    removed when its socket is closed. One that is over a limit is never counted, but stays until
    its socket is closed, like any other. No method takes longer the more connections there are.
    """

    def __init__(self, config: Configuration) -> None:
        self._config = config
        self.tasks: dict[drain.Connection, asyncio.Task[Any] | None] = {}
        """The task of every connection whose socket is open, including those that are closing."""
        self.refused = dict.fromkeys(REASONS, 0)
        """How many connections were refused, by reason."""
        self._entries: dict[Connection, Entry] = {}
        self._by_client: dict[str, Entry] = {}
        self._by_user: dict[str, dict[Connection, None]] = {}
        self._by_network: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    # --- Coming and going ---

    def add(self, connection: Connection) -> bool:
        """Add a connection of the calling task; return whether it is admitted.

        If it is not, the refusal is counted, and the caller closes the connection.
        """
        is_admitted = self.admit(connection) is None
        self.tasks[connection] = asyncio.current_task()
        return is_admitted

    def admit(self, connection: Connection) -> str | None:
        """Add a connection of the calling task, if it is not over a limit.

        Returns:
            The reason of `REASONS` for which it is not admitted, and not added at all; the refusal
            is counted. ``None`` if it is admitted.
        """
        entry = Entry(connection)
        if reason := self._limit(entry.network):
            self.refused[reason] += 1
            return reason
        self.tasks[connection] = asyncio.current_task()
        self._entries[connection] = self._by_client[connection.client.id] = entry
        if entry.network:
            self._by_network[entry.network] += 1
        return None

    def _limit(self, network: str) -> str | None:
        """Return the reason of `REASONS` for which no connection is admitted from a network."""
        config = self._config
        if config.max_connections and len(self._entries) >= config.max_connections:
            return "connections"
        limit = config.max_connections_per_address
        if limit and network and self._by_network[network] >= limit:
            return "address"
        return None

    def identify(self, connection: Connection, user: str | None) -> bool:
        """Note the user of a connection; return whether the user may have one more connection.

        If not, the refusal is counted, nothing is noted, and the caller closes the connection. A
        connection that is not registered, or has this user already, has room.
        """
        entry = self._entries.get(connection)
        if entry is None or entry.user == user:
            return True
        if user is not None:
            limit = self._config.max_connections_per_user
            if limit and len(self._by_user.get(user, ())) >= limit:
                self.refused["user"] += 1
                return False
            self._by_user.setdefault(user, {})[connection] = None
        self._forget_user(entry)
        entry.user = user
        return True

    def leave(self, connection: Connection) -> None:
        """Stop counting a connection, because it begins to close. Safe to call twice."""
        entry = self._entries.pop(connection, None)
        if entry is None:
            return
        del self._by_client[connection.client.id]
        if entry.network:
            self._by_network[entry.network] -= 1
            if not self._by_network[entry.network]:
                del self._by_network[entry.network]
        self._forget_user(entry)

    def _forget_user(self, entry: Entry) -> None:
        if entry.user is not None:
            connections = self._by_user[entry.user]
            del connections[entry.connection]
            if not connections:
                del self._by_user[entry.user]

    def remove(self, connection: Connection) -> bool:
        """Forget a connection whose socket is closed; return whether it was known."""
        self.leave(connection)
        if connection not in self.tasks:
            return False
        del self.tasks[connection]
        return True

    # --- Questions ---

    def exclude_for(self, client_id: str, user: str | None) -> Client | None:
        """Return the connected client whose own publication over REST it should not receive.

        Args:
            client_id: The id that the publisher gives as its own.
            user: The authenticated user who publishes. A client of anybody else is left alone, or
                a publisher could hide messages from others.
        """
        entry = self._by_client.get(client_id)
        return entry.connection.client if entry is not None and entry.user == user else None

    def of_client(self, client_id: str) -> Entry | None:
        """Return the entry of a client, if it is connected."""
        return self._by_client.get(client_id)

    def of_user(self, user: str) -> list[Connection]:
        """Return all connections of a user."""
        return list(self._by_user.get(user, ()))

    def __repr__(self) -> str:
        return f"<Registry {len(self)} connections, {sum(self.refused.values())} refused>"
