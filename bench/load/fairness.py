"""Whether publications to very many subscribers keep other clients waiting."""

import select
import time

from bench.load.dialects import Dialect
from bench.load.fanout import TEXT, TOPIC
from bench.load.meter import Meter, latencies
from bench.load.websocket import open_connections, read_frame

AT_A_TIME = 50
"""Deliveries that are read before the pinger's socket is checked again, so that the load's own
work (some 100 µs) does not count as the server's."""

PAUSE = 0.001
"""Seconds between an answer and the next ping."""


def run(port: int, dialect: Dialect, subscribers: int, seconds: float) -> dict[str, float]:
    """Publish non-stop, with one publication in flight, while another client pings.

    Returns:
        The latencies of the pings, and the rate of deliveries.

    Raises:
        ConnectionError: The server closed a connection.
    """
    script = (*dialect.opening, dialect.subscribe(TOPIC))
    sockets = open_connections(port, [script] * subscribers)
    publisher, pinger = open_connections(port, [dialect.opening, dialect.opening])
    publication, ping = dialect.publish(TOPIC, TEXT), dialect.ping()
    publisher.sendall(publication)
    read_frame(publisher)
    size_of_all = sum(len(read_frame(sock)) for sock in sockets)
    poll = select.epoll()
    receive = {sock.fileno(): sock.recv_into for sock in (*sockets, publisher)}
    for fd in receive:
        poll.register(fd, select.EPOLLIN)
    pinger.setblocking(False)
    buffer = bytearray(1 << 18)
    pings: list[float] = []
    pinged_at, next_ping, sent, received = 0.0, 0.0, 0, 0
    meter = Meter()
    while (now := time.perf_counter()) < meter.begin + seconds or pinged_at:
        if pinged_at:
            try:
                pinger.recv(4096)
                pings.append(now - pinged_at)
                pinged_at, next_ping = 0.0, now + PAUSE
            except BlockingIOError:
                pass
        elif now >= next_ping:
            pinger.send(ping)
            pinged_at = now
        if received >= sent * size_of_all:
            publisher.send(publication)
            sent += 1
        for fd, _ in poll.poll(PAUSE, AT_A_TIME):
            count = receive[fd](buffer)
            if not count:
                raise ConnectionError("the server closed a connection")
            if fd != publisher.fileno():
                received += count
    elapsed, share = meter.read()
    return latencies(pings, "ping", 50, 99, 100) | {
        "deliveries_per_second": received / size_of_all * subscribers / elapsed,
        "pings": len(pings),
        "generator_share": share,
    }
