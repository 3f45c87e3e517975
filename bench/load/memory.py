"""The memory of a server with silent clients, one that never reads, and one that floods.

Memory is the resident set of the server and its children, without that of Redis.
"""

import select
import socket
import time

from bench.load.dialects import ACK_MARK, Dialect
from bench.load.fanout import TOPIC
from bench.load.meter import Meter
from bench.load.processes import resident_bytes
from bench.load.websocket import open_connections, read_frame

SETTLE = 3.0
"""Seconds until the memory is read; Daphne frees HTTP requests once a second."""

KILOBYTE = "x" * 1024
STEP = 100
"""Publications in flight, fewer than any peer's queue holds."""


def idle(port: int, dialect: Dialect, pid: int, count: int, warm_up: int) -> dict[str, float]:
    """Connect and subscribe ``count`` clients, after ``warm_up`` others that do not count."""
    script = (*dialect.opening, dialect.subscribe(TOPIC))
    clients = open_connections(port, [script] * warm_up)
    time.sleep(SETTLE)
    meter = Meter()
    before = resident_bytes(pid)
    clients += open_connections(port, [script] * count)
    time.sleep(SETTLE)
    growth = resident_bytes(pid) - before
    _, share = meter.read()
    return {"kib_per_connection": growth / len(clients[warm_up:]) / 1024, "generator_share": share}


def stalled(port: int, dialect: Dialect, pid: int, messages: int) -> dict[str, float]:
    """Publish messages of 1 KiB to a subscriber that reads and to one that never does."""
    script = (*dialect.opening, dialect.subscribe(TOPIC))
    publisher, reader = open_connections(port, [dialect.opening, script])
    publication = dialect.publish(TOPIC, KILOBYTE)
    publisher.sendall(publication)
    sizes = len(read_frame(publisher)), len(read_frame(reader))

    def publish(count: int) -> None:
        for _ in range(count // STEP):
            publisher.sendall(publication * STEP)
            for sock, size in zip((publisher, reader), sizes, strict=True):
                _read_away(sock, size * STEP)

    publish(messages // 10)
    stalled_client = open_connections(port, [script])
    meter = Meter()
    before = resident_bytes(pid)
    publish(messages)
    growth = resident_bytes(pid) - before
    _, share = meter.read()
    stalled_client.clear()
    return {"growth_mb": growth / 1e6, "generator_share": share}


def _read_away(sock: socket.socket, size: int) -> None:
    while size > 0:
        taken = len(sock.recv(min(size, 1 << 20)))
        if not taken:
            raise ConnectionError("the server closed a connection")
        size -= taken


class Flood:
    """One client publishes as fast as its socket takes it and never reads.

    A subscriber reads the events, and a third client sends one ping after the other.
    """

    PAUSE = 0.002
    """Seconds between an answer and the next ping."""

    def __init__(self, port: int, dialect: Dialect, pid: int) -> None:
        subscribed = (*dialect.opening, dialect.subscribe(TOPIC))
        self.flooder, self.pinger, self.subscriber = open_connections(
            port, [dialect.opening, dialect.opening, subscribed]
        )
        self.ping = dialect.ping()
        self.load = dialect.publish(TOPIC, "x" * 100) * 500
        self.pid = pid
        self.pings: list[float] = []
        self.peak = 0

    def run(self, seconds: float) -> dict[str, float]:
        """Flood for some seconds, and wait for the answer to the last ping."""
        for sock in (self.flooder, self.pinger, self.subscriber):
            sock.setblocking(False)
        poll = select.epoll()
        poll.register(self.flooder, select.EPOLLOUT)
        poll.register(self.pinger, select.EPOLLIN)
        poll.register(self.subscriber, select.EPOLLIN)
        buffer = bytearray(1 << 18)
        rest = memoryview(self.load)
        meter = Meter()
        before = self.peak = resident_bytes(self.pid)
        pinged_at, next_ping, next_look = 0.0, meter.begin, meter.begin
        while (now := time.perf_counter()) < meter.begin + seconds or pinged_at:
            if now >= next_look:
                self.peak = max(self.peak, resident_bytes(self.pid))
                next_look = now + 0.05
            if not pinged_at and now >= next_ping:
                self.pinger.send(self.ping)
                pinged_at = now
            for fd, _ in poll.poll(self.PAUSE):
                if fd == self.flooder.fileno():
                    rest = rest[self.flooder.send(rest) :] or memoryview(self.load)
                elif fd == self.subscriber.fileno():
                    self.subscriber.recv_into(buffer)
                elif ACK_MARK in self.pinger.recv(4096):
                    self.pings.append(time.perf_counter() - pinged_at)
                    pinged_at, next_ping = 0.0, time.perf_counter() + self.PAUSE
        _, share = meter.read()
        return {
            "growth_mb": (self.peak - before) / 1e6,
            "slowest_ping_ms": max(self.pings) * 1000,
            "pings": len(self.pings),
            "generator_share": share,
        }
