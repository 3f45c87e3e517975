"""Latency at a fixed rate: an open loop, timed from when each publication was due to be sent.

A server that stalls is late for all publications that were due meanwhile, whether sent or not. A
closed loop would have waited for it and hidden that ("coordinated omission").
"""

import os
import select
import time

from bench.load.dialects import Dialect
from bench.load.drain import GRACE
from bench.load.fanout import Fanout
from bench.load.meter import Meter, latencies

SUBSCRIBERS = 10
WINDOW_OF_MAXIMUM = 8
SECONDS_OF_MAXIMUM = 1.0


class Arrivals:
    """Frames of one size at one socket; the n-th belongs to the n-th publication."""

    def __init__(self, frame_size: int) -> None:
        self._frame_size = frame_size
        self._bytes = 0
        self.frames = 0
        self.latencies: list[float] = []

    def take(self, count: int, begin: float, interval: float) -> None:
        """Record bytes that have just arrived."""
        now = time.perf_counter()
        self._bytes += count
        complete = self._bytes // self._frame_size
        for number in range(self.frames, complete):
            self.latencies.append(now - begin - number * interval)
        self.frames = complete


def run(port: int, dialect: Dialect, seconds: float, rate: int, percent: int) -> dict[str, float]:
    """Publish at ``rate`` a second, or, if that is 0, at ``percent`` of the maximum.

    The maximum is the throughput of a short closed loop.

    Raises:
        TimeoutError: The server does not keep up.
    """
    fanout = Fanout(port, dialect, SUBSCRIBERS, WINDOW_OF_MAXIMUM)
    if rate:
        return at_rate(fanout, rate, seconds)
    maximum = fanout.run(min(seconds, SECONDS_OF_MAXIMUM))["deliveries_per_second"] / SUBSCRIBERS
    fanout = Fanout(port, dialect, SUBSCRIBERS, WINDOW_OF_MAXIMUM)
    return at_rate(fanout, maximum * percent / 100, seconds)


def at_rate(fanout: Fanout, rate: float, seconds: float) -> dict[str, float]:
    """Publish at ``rate`` a second; return the percentiles of replies and deliveries."""
    acks, deliveries, share = arrivals_at_rate(fanout, rate, seconds)
    events_seconds = [latency for arrivals in deliveries for latency in arrivals.latencies]
    return {
        "rate": rate,
        "generator_share": share,
        **latencies(acks.latencies, "ack", 50, 99, 99.9),
        **latencies(events_seconds, "event", 50, 99, 99.9),
    }


def arrivals_at_rate(
    fanout: Fanout, rate: float, seconds: float
) -> tuple[Arrivals, list[Arrivals], float]:
    """Publish at ``rate`` a second, and wait for every reply and every delivery.

    Returns:
        The replies, the deliveries to each subscriber, and the generator's share of its core.

    Raises:
        TimeoutError: The server does not keep up.
    """
    acks = Arrivals(fanout.ack_size)
    deliveries = [Arrivals(fanout.event_size) for _ in fanout.subscribers]
    buffer = bytearray(1 << 18)
    poll = select.epoll()
    receivers = {}
    for sock, arrivals in zip(
        (fanout.publisher, *fanout.subscribers), (acks, *deliveries), strict=True
    ):
        poll.register(sock, select.EPOLLIN)
        receivers[sock.fileno()] = (sock.recv_into, arrivals)
    count, interval, sent = max(1, int(rate * seconds)), 1 / rate, 0
    meter = Meter()
    begin, deadline = meter.begin, meter.begin + seconds + GRACE
    while any(arrivals.frames < count for _, arrivals in receivers.values()):
        now = time.perf_counter()
        due = min(count, int((now - begin) * rate) + 1)
        if due > sent:
            fanout.publisher.sendall(fanout.publication * (due - sent))
            sent = due
        # Busy waiting: a sleep would be late by more than the latency that is measured.
        events = poll.poll(0)
        for fd, _ in events:
            receive, arrivals = receivers[fd]
            if not (size := receive(buffer)):
                raise ConnectionError("the server closed a connection")
            arrivals.take(size, begin, interval)
        if not events:
            os.sched_yield()  # to a Redis on this core
            meter.idle += time.perf_counter() - now
            if now > deadline:
                raise TimeoutError(f"the server does not keep up with {rate:,.0f} a second")
    _, share = meter.read()
    return acks, deliveries, share
