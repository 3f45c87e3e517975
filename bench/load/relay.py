"""One room in two processes: the processor time of deliveries, and the latency between them.

The publisher is connected to the first process. Loads that need only one process, to compare with,
run without a second one. All processor time is that of whole processes, user and system.
"""

import itertools
import json
import select
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.load.dialects import ACK_MARK, KEPT_TOPIC, TOPIC, Dialect
from bench.load.drain import GRACE
from bench.load.fanout import TEXT, Fanout
from bench.load.meter import Meter, percentile
from bench.load.processes import exact_cpu_seconds, resident_bytes
from bench.load.roundtrip import arrivals_at_rate
from bench.load.websocket import open_connections
from pubsub.cluster.names import partition_of

WARM_UP = 0.3
"""Seconds of publications before the idle time is measured."""

TOPICS = 64
"""Topics where each message has to travel by itself."""

EVENT_MARK = b"^"
"""A byte that occurs once in each event of a topic with history, whose events differ in size. No
frame of theirs has it in its header."""

SETTLE = 3.0
"""Seconds until memory is read."""


@dataclass(frozen=True)
class Room:
    """The processes of a server."""

    dialect: Dialect
    port: int
    pid: int
    other_port: int | None = None
    other_pid: int | None = None
    broker_pid: int | None = None
    """The NATS server, or Redis."""

    def processor_seconds(self) -> dict[str, float]:
        """Return the processor time of each process so far, by its role."""
        pids = {"own": self.pid, "other": self.other_pid, "broker": self.broker_pid}
        return {role: exact_cpu_seconds(pid) if pid else 0.0 for role, pid in pids.items()}

    def since(self, before: Mapping[str, float]) -> dict[str, float]:
        """Return the processor time of each process since then."""
        return {role: now - before[role] for role, now in self.processor_seconds().items()}


def fan_out(
    room: Room, subscribers: int, window: int, burst: int, seconds: float
) -> dict[str, float]:
    """Publish to subscribers of which each process has half.

    Each of the ``window`` publications in flight is a burst of messages that are sent together.

    Returns:
        ``deliveries_per_processor_second`` counts the time of the server's processes;
        ``broker_us`` is the broker's for each publication.
    """
    fanout = Fanout(
        room.port, room.dialect, subscribers, window, room.pid, room.other_port, [TOPIC] * burst
    )
    before = room.processor_seconds()
    figures = fanout.run(seconds)
    spent, deliveries = room.since(before), figures["deliveries"]
    figures["server_us"] = (spent["own"] + spent["other"]) / deliveries * 1e6
    figures["deliveries_per_processor_second"] = 1e6 / figures["server_us"]
    publications = deliveries / subscribers
    pids = {"own": room.pid, "other": room.other_pid, "broker": room.broker_pid}
    figures |= {f"{role}_us": spent[role] / publications * 1e6 for role in spent if pids[role]}
    return figures


def latency(room: Room, rate: int, seconds: float) -> dict[str, float]:
    """Publish at a fixed rate to a subscriber of each process.

    ``added`` is how much later a message arrives at the second process' subscriber than the same
    message at the first one's.
    """
    fanout = Fanout(room.port, room.dialect, 2, 1, room.pid, room.other_port)
    _, (near, far), share = arrivals_at_rate(fanout, rate, seconds)
    added = sorted(there - here for here, there in zip(near.latencies, far.latencies, strict=True))
    near.latencies.sort()
    return {
        **{f"added_p{p}_us": percentile(added, p) * 1e6 for p in (50, 99)},
        **{f"near_p{p}_us": percentile(near.latencies, p) * 1e6 for p in (50, 99)},
        "rate": rate,
        "generator_share": share,
    }


def interest(room: Room, wanted: str, seconds: float) -> dict[str, float]:
    """Measure what publications at full speed cost the second process, beside its idle time.

    They go to `TOPICS` topics of different partitions, one to each at a time, because messages of
    one partition and event-loop tick may travel together.

    Args:
        room: Its second process has one client, its first one a subscriber of all these topics.
        wanted: What that client subscribes to: the same topics (``wanted``), other ones of the same
            partitions (``neighbour``), or one of another partition (``unwanted``).
        seconds: How long to measure, once without publications and once with them.
    """
    other_port = room.other_port or room.port
    topics = topics_of_partitions("bench", range(TOPICS))
    if wanted == "wanted":
        fanout = Fanout(room.port, room.dialect, 2, 1, room.pid, other_port, topics)
    else:
        partitions = range(TOPICS) if wanted == "neighbour" else [TOPICS]
        names = topics_of_partitions("other", partitions)
        script = (*room.dialect.opening, *map(room.dialect.subscribe, names))
        (listener,) = open_connections(other_port, [script])
        fanout = Fanout(room.port, room.dialect, 1, 1, room.pid, topics=topics)
    fanout.run(WARM_UP)
    before, begin = room.processor_seconds(), time.perf_counter()
    time.sleep(seconds)
    idle_share = room.since(before)["other"] / (time.perf_counter() - begin)
    before, begin = room.processor_seconds(), time.perf_counter()
    figures = fanout.run(seconds)
    spent, elapsed = room.since(before), time.perf_counter() - begin
    if wanted != "wanted":
        listener.close()
    publications = figures["deliveries"] / len(fanout.subscribers)
    return {
        "publications_per_second": publications / elapsed,
        "idle_percent": 100 * idle_share,
        "during_percent": 100 * spent["other"] / elapsed,
        "other_us": (spent["other"] - idle_share * elapsed) / publications * 1e6,
        "own_us": spent["own"] / publications * 1e6,
        "broker_us": spent["broker"] / publications * 1e6,
        "generator_share": figures["generator_share"],
    }


def topics_of_partitions(prefix: str, partitions: Iterable[int]) -> list[str]:
    """Return a name in each of these partitions, all of one length."""
    found: dict[int, str] = {}
    wanted = set(partitions)
    names = (f"{prefix}-{number:06}" for number in itertools.count())
    while len(found) < len(wanted):
        name = next(names)
        if (partition := partition_of(name)) in wanted:
            found.setdefault(partition, name)
    return [found[partition] for partition in sorted(found)]


def history(room: Room, publishers: int, seconds: float) -> dict[str, float]:
    """Publish to a topic with history that has a subscriber on each process.

    Each publisher has one publication in flight.

    Raises:
        TimeoutError: Publications are not acknowledged, or not delivered.
    """
    dialect = room.dialect
    script = (*dialect.opening, dialect.subscribe(KEPT_TOPIC))
    subscribers = [
        sock
        for port in (room.port, room.other_port or room.port)
        for sock in open_connections(port, [script])
    ]
    clients = open_connections(room.port, [dialect.opening] * publishers)
    publication = dialect.publish(KEPT_TOPIC, TEXT + EVENT_MARK.decode())
    poll = select.epoll()
    sockets = {sock.fileno(): sock for sock in (*subscribers, *clients)}
    for fd in sockets:
        poll.register(fd, select.EPOLLIN)
    received = {sock.fileno(): 0 for sock in subscribers}
    before, meter = room.processor_seconds(), Meter()
    end, deadline = meter.begin + seconds, meter.begin + seconds + GRACE
    for client in clients:
        client.sendall(publication)
    sent, acknowledged = publishers, 0
    while acknowledged < sent or min(received.values()) < sent:
        now = time.perf_counter()
        if now > deadline:
            raise TimeoutError(f"of {sent} messages {min(received.values())} have arrived")
        for fd, _ in poll.poll(0.1):
            data = sockets[fd].recv(1 << 18)
            if fd in received:
                received[fd] += data.count(EVENT_MARK)
            elif answers := data.count(ACK_MARK):
                acknowledged += answers
                if now < end:
                    sockets[fd].sendall(publication)
                    sent += 1
    elapsed, share = meter.read()
    spent = room.since(before)
    return {
        "publications_per_second": sent / elapsed,
        **{f"{role}_us": seconds / sent * 1e6 for role, seconds in spent.items()},
        "generator_share": share,
    }


def topics(room: Room, count: int) -> dict[str, float]:
    """Create topics over REST, one after the other, and measure the memory that each takes.

    Raises:
        ConnectionError: A topic is not created.
    """
    sock = socket.create_connection(("127.0.0.1", room.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pids = {"own": room.pid, "other": room.other_pid or room.pid}
    time.sleep(SETTLE)
    before, resident = room.processor_seconds(), {pid: resident_bytes(pid) for pid in pids.values()}
    meter = Meter()
    for number in range(count):
        _create(sock, f"bench-topic-{number:06}")
    elapsed, share = meter.read()
    time.sleep(SETTLE)
    spent = room.since(before)
    start = resident[room.pid]
    grown = {role: resident_bytes(pid) - resident[pid] for role, pid in pids.items()}
    return {
        "creations_per_second": count / elapsed,
        **{f"{role}_us": seconds / count * 1e6 for role, seconds in spent.items()},
        **{f"{role}_kib_per_topic": size / count / 1024 for role, size in grown.items()},
        "start_mib": start / (1 << 20),
        "generator_share": share,
    }


def _create(sock: socket.socket, name: str) -> None:
    body = json.dumps({"name": name})
    sock.sendall(
        f"POST /topics HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    answer = b""
    while not answer.endswith(b"}"):
        piece = sock.recv(4096)
        answer += piece
        if not piece or not answer.startswith(b"HTTP/1.1 201"[: len(answer)]):
            raise ConnectionError(f"a topic is not created: {answer[:200]!r}")
