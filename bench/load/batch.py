"""Batches of publications over HTTP: one persistent connection, with one request in progress."""

import json
import select
import socket
import time

from bench.load.dialects import MESSAGE_ID, TOPIC, Dialect
from bench.load.drain import drain
from bench.load.fanout import TEXT
from bench.load.meter import Meter
from bench.load.rest import first_exchange
from bench.load.websocket import open_connections, read_frame


class Batch:
    """A publisher and its subscribers, and the sizes of what they receive.

    Args:
        size: The number of messages in each request.
        pid: The server's process.
    """

    def __init__(
        self, port: int, dialect: Dialect, subscribers: int, size: int, pid: int | None = None
    ) -> None:
        self.size = size
        self.pid = pid
        script = (*dialect.opening, dialect.subscribe(TOPIC))
        self.subscribers = open_connections(port, [script] * subscribers)
        self.publisher = socket.create_connection(("127.0.0.1", port))
        self.publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = _request(size)
        self.response_size = first_exchange(self.publisher, self.request)
        events = [len(read_frame(sock)) for sock in self.subscribers for _ in range(size)]
        if len(set(events)) != 1:
            raise ValueError(f"events differ in size: {set(events)}")
        self.event_size = events[0]
        self.poll = select.epoll()
        for sock in (*self.subscribers, self.publisher):
            self.poll.register(sock, select.EPOLLIN)
        self._receive = {sock.fileno(): sock.recv_into for sock in self.subscribers}
        self._buffer = bytearray(1 << 18)
        self._event_bytes = 0
        self._response_bytes = 0

    def run(self, seconds: float) -> dict[str, float]:
        """Publish for some seconds; return what was accepted and delivered in that time.

        Raises:
            ConnectionError: The server closed a connection, or lost a message.
        """
        answered = 0
        meter = Meter(self.pid)
        self.publisher.sendall(self.request)
        while time.perf_counter() < meter.begin + seconds:
            self._take(self.poll.poll(0.1))
            if self._response_bytes == (answered + 1) * self.response_size:
                answered += 1
                self.publisher.sendall(self.request)
        elapsed, share = meter.read()
        published, delivered = answered * self.size, self._event_bytes / self.event_size
        cost = meter.server_cost(published)
        expected = (answered + 1) * self.size * len(self.subscribers)
        drain(
            self.poll,
            self._take,
            lambda: expected - self._event_bytes / self.event_size,
            self.pid,
        )
        return {
            "publications_per_second": published / elapsed,
            "deliveries_per_second": delivered / elapsed,
            "generator_share": share,
            **cost,
        }

    def _take(self, events: list[tuple[int, int]]) -> None:
        """Receive what has arrived."""
        for fd, _ in events:
            if fd in self._receive:
                count = self._receive[fd](self._buffer)
                self._event_bytes += count
            else:
                count = self.publisher.recv_into(self._buffer)
                self._response_bytes += count
            if not count:
                raise ConnectionError("the server closed a connection")


def _request(size: int) -> bytes:
    message = {"topic": TOPIC, "id": MESSAGE_ID, "payload": {"text": TEXT}}
    body = json.dumps({"messages": [message] * size}, separators=(",", ":"))
    return (
        f"POST /messages HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
