"""One room: a NATS server, and several processes that serve it."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import quote

from tests.live.client import Client
from tests.live.server import Server
from tests.live.waiting import wait_until
from tests.relay.nats_cluster import NatsCluster
from tests.relay.server import NatsServer


class Room:
    """Server processes that one NATS server connects.

    Args:
        nats: The NATS server, or a cluster of them.
        stack: Closes the processes.
        settings: Environment variables of all processes.
    """

    def __init__(self, nats: NatsServer | NatsCluster, stack: ExitStack, **settings: str) -> None:
        self.nats = nats
        self.servers: list[Server] = []
        self._stack = stack
        self._settings = {"CHATROOM_RELAY": nats.url, **settings}

    def start(self, **settings: str) -> Server:
        """Start one more process; return it once it is ready for clients."""
        server = self.start_unready(**settings)
        wait_until(lambda: is_ready(server), server.log)
        return server

    def start_unready(self, **settings: str) -> Server:
        """Start one more process, without waiting for the others."""
        server = Member(self, **{**self._settings, **settings})
        self.servers.append(server)
        self._stack.callback(server.close)
        return server

    def wait_until_ready(self) -> None:
        """Wait until all processes that live are ready for clients."""
        for server in self.servers:
            wait_until(lambda server=server: is_ready(server), server.log)

    def kill(self, server: Server) -> None:
        """End a process at once, as a crash does."""
        self.servers.remove(server)
        server.stop(signal.SIGKILL)

    def stop(self, server: Server) -> int:
        """Stop a process as an operator does; return its exit status."""
        self.servers.remove(server)
        return server.stop()

    def complaints(self) -> list[str]:
        """Return what the logs of all processes report as a problem."""
        return [line for server in self.servers for line in server.complaints()]


class Member(Server):
    """A server process of a room.

    Args:
        room: The room.
        environment: Environment variables.
    """

    def __init__(self, room: Room, **environment: str) -> None:
        self._room = room
        super().__init__(**environment)

    def create_topic(self, name: str, **options: Any) -> str:
        """Create a topic; return once all processes know it that are not cut off."""
        super().create_topic(name, **options)
        for server in self._room.servers:
            wait_until(lambda server=server: not is_ready(server) or knows(server, name))
        return name


def knows(server: Server, topic: str) -> bool:
    """Return whether a topic exists for a process."""
    return server.request("GET", f"/topics/{quote(topic)}")[0] == 200


def is_ready(server: Server) -> bool:
    """Return whether new clients are welcome."""
    return server.request("GET", "/readyz")[0] == 200


@contextmanager
def running_room(processes: int = 3, nats: str = "", **settings: str) -> Iterator[Room]:
    """Run a room whose logs have to stay clean.

    Args:
        processes: The number of server processes.
        nats: More lines for the configuration of the NATS server.
        settings: Environment variables of the processes.
    """
    with NatsServer(nats) as server, ExitStack() as stack:
        room = Room(server, stack, **settings)
        for _ in range(processes):
            room.start_unready()
        room.wait_until_ready()
        yield room
        assert room.complaints() == []


def payloads(client: Client, count: int) -> list[Any]:
    """Receive events, and return their payloads."""
    messages = [client.receive() for _ in range(count)]
    assert {message["type"] for message in messages} <= {"event"}, messages
    return [message["message"]["payload"] for message in messages]


def publish(server: Server, topic: str, *values: Any, **options: Any) -> list[Any]:
    """Publish payloads in one request, in their order; return the results."""
    messages = [{"topic": topic, "payload": value, **options} for value in values]
    status, answer = server.request("POST", "/messages", {"messages": messages})
    assert status == 200, answer
    results: list[Any] = answer["results"]
    return results
