"""Rooms whose members all publish, each as soon as its last publication is acknowledged."""

import select
import time

from bench.load.dialects import ACK_MARK, Dialect
from bench.load.drain import PATIENCE, drain
from bench.load.fanout import TEXT
from bench.load.meter import Meter
from bench.load.websocket import open_connections, read_frame


class Rooms:
    """Connections to a server: ``members`` in each of ``rooms`` topics."""

    def __init__(
        self, port: int, dialect: Dialect, rooms: int, members: int, pid: int | None = None
    ) -> None:
        self.members = members
        self.pid = pid
        topics = [f"room-{number:05}" for number in range(rooms)]
        scripts = [(*dialect.opening, dialect.subscribe(topic)) for topic in topics]
        self.sockets = open_connections(
            port, [script for script in scripts for _ in range(members)]
        )
        publications = [dialect.publish(topic, TEXT) for topic in topics]
        self._publication = {
            sock.fileno(): publications[position // members]
            for position, sock in enumerate(self.sockets)
        }
        self._socket = {sock.fileno(): sock for sock in self.sockets}
        self._measure_frames()
        self.poll = select.epoll()
        for sock in self.sockets:
            self.poll.register(sock, select.EPOLLIN)
        self._buffer = bytearray(1 << 18)
        self._sent = self._acks = self._received = 0

    def _measure_frames(self) -> None:
        talker, *others = self.sockets[: self.members]
        talker.sendall(self._publication[talker.fileno()])
        self.ack_size = len(read_frame(talker))
        self.event_size = {len(read_frame(sock)) for sock in others}.pop()

    def run(self, seconds: float) -> dict[str, float]:
        """Let all publish for some seconds; return what was delivered in that time.

        Raises:
            ConnectionError: The server closed a connection, or lost a message.
        """
        one_round = len(self.sockets) * (self.members - 1)
        meter = Meter(self.pid)
        deadline = meter.begin + seconds
        for sock in self.sockets:
            sock.send(self._publication[sock.fileno()])
        self._sent = len(self.sockets)
        while (now := time.perf_counter()) < deadline or (
            self._delivered() < one_round and now < deadline + PATIENCE
        ):
            self._take(self.poll.poll(0.1), answer=True)
        elapsed, share = meter.read()
        delivered = self._delivered()
        cost = meter.server_cost(delivered)
        self._drain()
        return {
            "deliveries_per_second": delivered / elapsed,
            "deliveries": self._sent * (self.members - 1),
            "event_bytes": self.event_size,
            "generator_share": share,
            **cost,
        }

    def _delivered(self) -> float:
        return (self._received - self._acks * self.ack_size) / self.event_size

    def _take(self, events: list[tuple[int, int]], *, answer: bool) -> None:
        """Receive what has arrived; a client whose acknowledgement is among it publishes again."""
        sockets, publication, buffer = self._socket, self._publication, self._buffer
        for fd, _ in events:
            sock = sockets[fd]
            count = sock.recv_into(buffer)
            if not count:
                raise ConnectionError("the server closed a connection")
            self._received += count
            if buffer.find(ACK_MARK, 0, count) >= 0:
                self._acks += 1
                if answer:
                    sock.send(publication[fd])
                    self._sent += 1

    def _drain(self) -> None:
        """Wait for the replies and deliveries that are still in flight."""
        expected = self._sent * (self.ack_size + (self.members - 1) * self.event_size)
        drain(
            self.poll,
            lambda events: self._take(events, answer=False),
            lambda: (expected - self._received) / self.event_size,
            self.pid,
        )
