"""One publisher, many subscribers, and a fixed number of publications in flight between them."""

import select
import time
from collections.abc import Sequence

from bench.load.dialects import ACK_MARK, TOPIC, Dialect
from bench.load.drain import PATIENCE, drain
from bench.load.meter import Meter, latencies
from bench.load.websocket import open_connections, read_frame

TEXT = "x" * 80


class Fanout:
    """A publisher and its subscribers, and the sizes of the frames that they receive.

    Args:
        window: How many publications may be in flight.
        pid: The server's process.
        other_port: Where a second process of the server listens, if there is one; it gets half of
            the subscribers, the last ones.
        topics: What each of them subscribes to. A publication is a message to each of these.
    """

    def __init__(
        self,
        port: int,
        dialect: Dialect,
        subscribers: int,
        window: int,
        pid: int | None = None,
        other_port: int | None = None,
        topics: Sequence[str] = (TOPIC,),
    ) -> None:
        self.window = window
        self.pid = pid
        self.messages = len(topics)
        self.publication = b"".join(dialect.publish(topic, TEXT) for topic in topics)
        script = (*dialect.opening, *map(dialect.subscribe, topics))
        elsewhere = subscribers // 2 if other_port else 0
        self.subscribers = open_connections(port, [script] * (subscribers - elsewhere))
        if other_port:
            self.subscribers += open_connections(other_port, [script] * elsewhere)
        (self.publisher,) = open_connections(port, [dialect.opening])
        self._measure_frames()
        self.poll = select.epoll()
        for sock in (*self.subscribers, self.publisher):
            self.poll.register(sock, select.EPOLLIN)
        self._receive = {sock.fileno(): sock.recv_into for sock in self.subscribers}
        self._receive_replies = self.publisher.recv_into
        self._buffer = bytearray(1 << 18)
        self._latencies: list[float] = []
        self._sent_at = 0.0

    def _measure_frames(self) -> None:
        """Publish once, and make sure that frames can be counted by their bytes."""
        self.publisher.sendall(self.publication)
        ack, *_ = [read_frame(self.publisher) for _ in range(self.messages)]
        events = [read_frame(sock) for sock in self.subscribers for _ in range(self.messages)]
        sizes = {len(event) for event in events}
        if len(sizes) != 1:
            raise ValueError(f"events differ in size: {sizes}")
        if ack.count(ACK_MARK) != 1 or ACK_MARK in events[0]:
            raise ValueError(f"acknowledgements cannot be told apart: {ack!r}, {events[0]!r}")
        self.event_size, self.ack_size = sizes.pop(), len(ack)

    def run(self, seconds: float) -> dict[str, float]:
        """Publish for some seconds; return what was delivered in that time.

        With a window of 1 the time from the publication to each delivery is measured as well.

        Raises:
            ConnectionError: The server closed a connection, or lost a message.
        """
        size_of_all = self.event_size * self.messages * len(self.subscribers)
        take = self._take_timed if self.window == 1 else self._take
        sent = received = 0
        meter = Meter(self.pid)
        deadline = meter.begin + seconds
        while (now := time.perf_counter()) < deadline or (
            received < size_of_all and now < deadline + PATIENCE
        ):
            room = self.window - (sent - received // size_of_all)
            if room > 0:
                self._sent_at = now
                self.publisher.sendall(self.publication * room)
                sent += room
            received += take(self.poll.poll(0.1))
        elapsed, share = meter.read()
        delivered = received / self.event_size
        cost = meter.server_cost(delivered)
        self._drain(sent * size_of_all - received)
        figures = {
            "deliveries_per_second": delivered / elapsed,
            "deliveries": sent * self.messages * len(self.subscribers),
            "event_bytes": self.event_size,
            "generator_share": share,
            **cost,
        }
        return figures | (latencies(self._latencies, "event", 50, 99) if self._latencies else {})

    def _drain(self, missing: int) -> None:
        """Wait for the bytes of events that are still in flight."""

        def take(events: list[tuple[int, int]]) -> None:
            nonlocal missing
            missing -= self._take(events)

        drain(self.poll, take, lambda: missing / self.event_size, self.pid)

    def _take(self, events: list[tuple[int, int]]) -> int:
        """Receive what has arrived; return how many bytes of it were events."""
        receive, buffer, received = self._receive, self._buffer, 0
        for fd, _ in events:
            if fd in receive:
                count = receive[fd](buffer)
                received += count
            else:
                count = self._receive_replies(buffer)
            if not count:
                raise ConnectionError("the server closed a connection")
        return received

    def _take_timed(self, events: list[tuple[int, int]]) -> int:
        receive, buffer, received = self._receive, self._buffer, 0
        sent_at, note, clock = self._sent_at, self._latencies.append, time.perf_counter
        for fd, _ in events:
            if fd in receive:
                count = receive[fd](buffer)
                note(clock() - sent_at)
                received += count
            else:
                count = self._receive_replies(buffer)
            if not count:
                raise ConnectionError("the server closed a connection")
        return received
