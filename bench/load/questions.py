"""Whether questions about a large room keep its clients waiting."""

import json
import select
import socket
import time
from itertools import cycle
from typing import NamedTuple

from bench.load.dialects import Dialect
from bench.load.fairness import PAUSE
from bench.load.meter import Meter, latencies
from bench.load.processes import seconds_without_processor
from bench.load.websocket import Step, open_connections, text_frame

PATHS = ("/subscriptions", "/stats", "/topics", "/health")
"""What is asked, in turn; each asker begins with another one."""

FILTERED = "/subscriptions?prefix=0"
"""Asked as well, because its rows have to be searched for."""


class Asker:
    """A persistent HTTP connection with one request in progress."""

    def __init__(self, port: int, paths: list[str]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.answers = 0
        self.bytes = 0
        self._head = b""
        self._missing = 0
        self._paths = cycle(paths)
        self._buffer = bytearray(1 << 16)

    def ask(self, method: str = "GET", body: bytes = b"") -> None:
        """Send a request for the next path."""
        self._head = b""
        head = f"{method} {next(self._paths)} HTTP/1.1\r\nHost: localhost\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.socket.sendall(f"{head}\r\n".encode() + body)

    def receive(self) -> bool:
        """Receive what has arrived; return whether the response is complete.

        Raises:
            ConnectionError: The request is refused, or the connection is closed.
        """
        size = self.socket.recv_into(self._buffer)
        self.bytes += size
        if not size:
            raise ConnectionError("the server closed a connection")
        if b"\r\n\r\n" in self._head:
            self._missing -= size
        else:
            self._head += self._buffer[:size]
            head, end, rest = self._head.partition(b"\r\n\r\n")
            if not end:
                return False
            if not head.startswith(b"HTTP/1.1 2"):
                raise ConnectionError(f"a request was refused: {self._head[:200]!r}")
            length = head.lower().partition(b"content-length:")[2].split(maxsplit=1)[0]
            self._missing = int(length) - len(rest)
        self.answers += not self._missing
        return not self._missing


class Room(NamedTuple):
    """How large the room is, and who asks about it."""

    clients: int
    topics: int
    each: int
    """Subscriptions of a client."""

    askers: int


def run(
    port: int, dialect: Dialect, pid: int | None, room: Room, seconds: float
) -> dict[str, float]:
    """Ask non-stop about a room while another client pings.

    Returns:
        The latencies of the pings before and while the others ask, and the rate of answers. The
        slowest ping is the longest time for which the server did nothing else, provided that other
        programs did not keep it waiting for a processor (``server_waiting``, a share of the time).
    """
    names = [f"topic-{number:05}" for number in range(room.topics)]
    _create_topics(port, names)
    # Referring to the sockets keeps them open.
    clients = open_connections(port, _scripts(dialect, names, room))
    (pinger,) = open_connections(port, [dialect.opening])
    quiet = _measure(pinger, dialect.ping(), [], seconds)
    paths = [*PATHS, FILTERED]
    asking = [Asker(port, paths[start:] + paths[:start]) for start in range(room.askers)]
    meter, waited = Meter(), seconds_without_processor(pid)
    pings = _measure(pinger, dialect.ping(), asking, seconds)
    elapsed, share = meter.read()
    waited = seconds_without_processor(pid) - waited
    return {
        **latencies(quiet, "quiet", 50, 99, 100),
        **latencies(pings, "ping", 50, 99, 100),
        "answers_per_second": sum(asker.answers for asker in asking) / elapsed,
        "megabytes_per_second": sum(asker.bytes for asker in asking) / elapsed / 1e6,
        "pings": len(pings),
        "clients": len(clients),
        "server_waiting": waited / elapsed,
        "generator_share": share,
    }


def _create_topics(port: int, names: list[str]) -> None:
    asker = Asker(port, ["/topics"])
    for name in names:
        asker.ask("POST", json.dumps({"name": name}).encode())
        while not asker.receive():
            pass


def _scripts(dialect: Dialect, names: list[str], room: Room) -> list[list[Step]]:
    """Return the scripts of the clients, each of which subscribes to a run of topics."""
    subscriptions = [dialect.subscribe(name).send for name in names]
    last = text_frame(json.dumps({"type": "ping", "request_id": "all"}))
    scripts = []
    for client in range(room.clients):
        start = client * room.each
        frames = [subscriptions[(start + step) % len(names)] for step in range(room.each)]
        scripts.append([*dialect.opening, Step(b"".join([*frames, last]), b'"all"')])
    return scripts


def _measure(
    pinger: socket.socket, ping: bytes, askers: list[Asker], seconds: float
) -> list[float]:
    """Return the latencies of the pings while the askers ask."""
    poll = select.epoll()
    by_fd = {asker.socket.fileno(): asker for asker in askers}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    poll.register(pinger, select.EPOLLIN)
    for asker in askers:
        asker.ask()
    pings: list[float] = []
    end = time.perf_counter() + seconds
    pinged_at, next_ping = 0.0, 0.0
    while (now := time.perf_counter()) < end or pinged_at:
        if not pinged_at and now >= next_ping:
            pinger.send(ping)
            pinged_at = time.perf_counter()
        # One at a time, so that the load's own work does not count as the server's.
        for fd, _ in poll.poll(PAUSE, 1):
            if fd in by_fd:
                if by_fd[fd].receive():
                    by_fd[fd].ask()
            else:
                pinger.recv(4096)
                now = time.perf_counter()
                pings.append(now - pinged_at)
                pinged_at, next_ping = 0.0, now + PAUSE
    return pings
