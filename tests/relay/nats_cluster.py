"""A cluster of NATS servers under test, each with a copy of everything that is stored."""

import json
import socket
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from tests.deploy.nats import free_ports
from tests.live.waiting import PATIENCE, wait_until
from tests.relay.server import NatsServer

CONFIGURATION = """
server_name: {name}
cluster {
  name: chatroom
  listen: 127.0.0.1:{port}
  routes: [{routes}]
}
"""


class NatsCluster:
    """Servers that know each other; they run from the start of a ``with`` to its end.

    Args:
        size: The number of servers.
    """

    def __init__(self, size: int = 3) -> None:
        ports = free_ports(size)
        routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
        self.servers = {
            f"nats-{number}": NatsServer(
                CONFIGURATION.replace("{name}", f"nats-{number}")
                .replace("{port}", str(port))
                .replace("{routes}", routes)
            )
            for number, port in enumerate(ports)
        }
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for server in self.servers.values():
            self._stack.enter_context(server)
        # They answer once they have a leader.
        wait_until(lambda: _ask(server.port, "$JS.API.INFO"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The URLs of all servers, which must have been started."""
        return ",".join(server.url for server in self.servers.values())

    def stream(self, name: str) -> dict[str, Any] | None:
        """Return what JetStream says of a stream; None if it has no answer.

        ``cluster`` in it names the leader, and the replicas with their state.
        """
        for server in self.servers.values():
            answer = _ask(server.port, f"$JS.API.STREAM.INFO.{name}") if server.is_running else None
            if answer is not None and "config" in answer:
                return answer
        return None

    def leader(self, name: str) -> NatsServer | None:
        """Return the leader of a stream, if there is one now."""
        stream = self.stream(name)
        leader = stream["cluster"].get("leader") if stream else None
        return self.servers[leader] if leader else None

    def is_in_step(self, name: str) -> bool:
        """Return whether a stream has a leader, and all of its replicas are up to date."""
        stream = self.stream(name)
        if stream is None or not stream["cluster"].get("leader"):
            return False
        replicas = stream["cluster"].get("replicas", [])
        return len(replicas) == len(self.servers) - 1 and all(
            replica["current"] and not replica.get("offline") for replica in replicas
        )


def _ask(port: int, subject: str) -> dict[str, Any] | None:
    """Return a server's answer to a request without a body; None if it has none in a second."""
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        sock.makefile("rb") as lines,
    ):
        sock.settimeout(1)
        sock.sendall(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
            b"SUB answer 1\r\nPUB " + subject.encode() + b" answer 0\r\n\r\n"
        )
        try:
            while line := lines.readline():
                verb, *fields = line.split()
                if verb == b"MSG":
                    return dict(json.loads(lines.read(int(fields[-1]))))
                if verb == b"HMSG":  # nobody answers
                    return None
        except TimeoutError:
            pass
        return None
