"""The scenarios: what is measured, with which load, of which peers."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.checkout import NAME
from bench.metrics import (
    BROKER_COST,
    DELIVERIES,
    DELIVERY,
    GROWTH,
    OTHER_COST,
    OWN_COST,
    PER_PROCESSOR_SECOND,
    PUBLICATIONS,
    REPLY,
    SERVER_COST,
    Metric,
    lower,
    share,
)
from bench.peers import RELAY, Peer


@dataclass(frozen=True)
class Scenario:
    """A load, and the figures it gives."""

    name: str
    """The name on the command line and in the results."""

    group: str
    """The key in `GROUPS` of the group that it is shown in."""

    title: str
    column: str
    """A short title, for the head of a column of its group."""

    load: tuple[str, ...]
    """The arguments of `bench.load`."""

    metrics: tuple[Metric, ...]
    connections: int = 100
    """About how many file descriptors each side needs."""

    fresh_server: bool = False
    """Whether it needs a server that has had no clients yet."""

    quick: bool = False
    """Whether it is part of a quick run."""

    compared: bool = False
    """Whether two checkouts are compared in it by default."""

    timeout: float = 60.0
    """Seconds that it may take in addition to the measurement itself."""

    named: bool = False
    """Whether it is measured only when the command line names it."""

    restarts: bool = False
    """Whether the load stops the server, which is then started again."""

    takes: Callable[[Peer], bool] = lambda peer: True
    """Which peers take part, of those that take part in its group."""

    def measures(self, peer: Peer) -> bool:
        """Return whether a peer takes part."""
        return self.takes(peer) and (not peer.groups or self.group in peer.groups)


GROUPS = {
    "fanout-1": "Fan-out to 1 subscriber",
    "fanout-100": "Fan-out to 100 subscribers",
    "fanout-1000": "Fan-out to 1,000 subscribers",
    "fanout-5000": "Fan-out to 5,000 subscribers",
    "rooms": "Rooms",
    "roundtrip": "Round trip, 1 publisher and 10 subscribers",
    "connections": "Connections",
    "fairness": "Fairness: another client's pings during publications to 10,000 subscribers",
    "questions": "Questions: a client's pings while 10 others ask about 1,000,000 subscriptions",
    "slow": "Slow clients",
    "compression": "Compression of events of 2 KiB for 100 subscribers",
    "jitter": "Jitter: 1,000 clients that are offline for up to 2 s, 50 messages a second",
    "avalanche": "Avalanche: a restart with 5,000 clients",
    "rest": "Publication over REST",
    RELAY: "One room in two processes",
}
"""The groups in which results are shown, in this order."""


RECONNECTING = ("chatroom", NAME, "go", "group-send", "ws")
"""The peers whose clients are made to reconnect, besides those that do nothing else."""


def loses_connections(peer: Peer) -> bool:
    """Return whether a peer takes part where connections are lost."""
    return bool(peer.groups) or peer.name in RECONNECTING


def fanout(subscribers: int, window: int, *, quick: bool = False) -> Scenario:
    """Return the scenario of one publisher with ``window`` publications in flight.

    `group_send` to 5,000 subscribers takes seconds for one publication, so it is measured with
    one in flight only.
    """
    return Scenario(
        name=f"fanout-{subscribers}-window-{window}",
        group=f"fanout-{subscribers}",
        title=f"fan-out to {subscribers:,}, window {window}",
        column=f"window {window}",
        load=("fanout", "--subscribers", str(subscribers), "--window", str(window)),
        metrics=(DELIVERIES, *DELIVERY[:2]) if window == 1 else (DELIVERIES,),
        connections=subscribers,
        quick=quick,
        compared=quick,
        takes=lambda peer: subscribers < 5000 or window == 1 or not peer.by_group,
    )


def in_several_processes(peer: Peer) -> bool:
    """Return whether a peer takes part where a second process is needed."""
    return peer.processes > 1


def relay_fan_out(kind: str, count: int) -> Scenario:
    """Return the scenario of 500 subscribers, of which each process has half.

    Args:
        kind: A ``window`` of publications in flight, or a ``burst``, of which the next one is sent
            when all of the last one has arrived.
        count: How many publications that is.
    """
    window, burst = (count, 1) if kind == "window" else (1, count)
    return Scenario(
        name=f"relay-fan-out-{kind}-{count}",
        group=RELAY,
        title=f"fan-out to 500 in all processes, {kind} {count}",
        column=f"fan-out, {kind} {count}",
        load=(
            *("relay-fan-out", "--subscribers", "500"),
            *("--window", str(window), "--burst", str(burst)),
        ),
        metrics=(PER_PROCESSOR_SECOND, BROKER_COST),
        connections=500,
        named=True,
        takes=lambda peer: RELAY in peer.groups or peer.name in ALONE,
    )


def relay_interest(
    wanted: str, title: str, takes: Callable[[Peer], bool] = in_several_processes
) -> Scenario:
    """Return the scenario of a second process whose client wants a topic or not."""
    return Scenario(
        name=f"relay-{wanted}",
        group=RELAY,
        title=title,
        column=wanted,
        load=(f"relay-{wanted}",),
        metrics=(
            OTHER_COST,
            share("idle_percent", "the other process before", "other before, %"),
            share("during_percent", "the other process meanwhile", "other meanwhile, %"),
            OWN_COST,
            BROKER_COST,
            PUBLICATIONS,
        ),
        fresh_server=True,
        named=True,
        takes=takes,
    )


def relay_latency(rate: int, *, takes: Callable[[Peer], bool]) -> Scenario:
    """Return the scenario of a subscriber in each process and a fixed rate of publications."""
    return Scenario(
        f"relay-latency-{rate}" if rate < FULL_RATE else "relay-latency",
        RELAY,
        f"latency across processes at {rate:,} publications a second",
        f"latency at {rate:,}/s",
        ("relay-latency", "--rate", str(rate)),
        (
            lower("added_p50_us", "added latency, p50", "added p50, µs", "µs", compared=False),
            lower("added_p99_us", "added latency, p99", "added p99, µs", "µs", compared=False),
            lower("near_p50_us", "delivery in the same process, p50", "same p50, µs", "µs"),
            lower("near_p99_us", "delivery in the same process, p99", "same p99, µs", "µs"),
        ),
        named=True,
        takes=takes,
    )


FULL_RATE = 1000
"""Publications a second; `group_send` cannot keep up with so many."""

ALONE = ("chatroom", "group-send", "group-send-redis")
"""The peers that are compared with themselves in two processes, and have no groups."""

SCENARIOS = (
    fanout(1, 1),
    fanout(1, 8),
    fanout(1, 32),
    fanout(1, 64, quick=True),
    fanout(100, 1, quick=True),
    fanout(100, 8, quick=True),
    fanout(100, 32, quick=True),
    fanout(1000, 1),
    fanout(1000, 8),
    fanout(1000, 32),
    fanout(5000, 1),
    fanout(5000, 8),
    fanout(5000, 32),
    Scenario(
        "rooms",
        "rooms",
        "100 rooms of 10, all publishing",
        "100 rooms of 10",
        ("rooms", "--rooms", "100", "--members", "10"),
        (DELIVERIES,),
        connections=1000,
        quick=True,
        compared=True,
    ),
    Scenario(
        "roundtrip",
        "roundtrip",
        "round trip at 30 % of the maximum",
        "at 30 %",
        ("roundtrip", "--percent", "30"),
        (Metric("rate", "publications a second", "publications/s"), *REPLY, *DELIVERY),
        connections=11,
    ),
    Scenario(
        "roundtrip-500",
        "roundtrip",
        "round trip at 500 publications a second",
        "at 500/s",
        ("roundtrip", "--rate", "500"),
        (*REPLY, *DELIVERY),
        connections=11,
    ),
    Scenario(
        "connect",
        "connections",
        "2,000 connections, 32 at a time",
        "connect",
        ("connect", "--count", "2000"),
        (Metric("connections_per_second", "handshakes a second", "handshakes/s"),),
        connections=2000,
        compared=True,
    ),
    Scenario(
        "idle",
        "connections",
        "2,000 idle subscribers",
        "idle",
        ("idle", "--count", "2000"),
        (lower("kib_per_connection", "memory for each", "KiB each", "KiB", digits=1),),
        connections=2200,
        fresh_server=True,
        compared=True,
    ),
    Scenario(
        "stop",
        "connections",
        "stop with 1,000 clients",
        "stop",
        ("stop", "--count", "1000"),
        (
            Metric("told", "clients that got 3001", "of 1,000 got 3001"),
            lower("stop_seconds", "time until the process ends", "s", "s", digits=2),
        ),
        connections=1000,
        fresh_server=True,
        takes=lambda peer: peer.name == "chatroom",
    ),
    Scenario(
        "stalled",
        "slow",
        "a subscriber that never reads, 50,000 messages of 1 KiB",
        "never reads",
        ("stalled", "--messages", "50000"),
        (GROWTH,),
        connections=3,
        fresh_server=True,
        timeout=120,
    ),
    Scenario(
        "flood",
        "slow",
        "a client that publishes non-stop and never reads, 5 s",
        "floods",
        ("flood", "--flood", "5"),
        (
            GROWTH,
            lower("slowest_ping_ms", "slowest answer to others", "slowest answer, ms", "ms", 1),
        ),
        fresh_server=True,
    ),
    Scenario(
        "fairness",
        "fairness",
        "pings beside publications to 10,000 subscribers",
        "10,000 subscribers",
        ("fairness", "--subscribers", "10000"),
        (
            DELIVERIES,
            lower("ping_p50_us", "answer to a ping, p50", "ping p50, µs", "µs"),
            lower("ping_p99_us", "answer to a ping, p99", "ping p99, µs", "µs"),
            lower("ping_p100_us", "answer to a ping, slowest", "slowest, µs", "µs"),
        ),
        connections=10_002,
        takes=lambda peer: peer.name in ("chatroom", "go", "websockets", "ws"),
    ),
    Scenario(
        "questions",
        "questions",
        "pings beside 10 askers about 1,000,000 subscriptions",
        "10 askers",
        ("questions", "--askers", "10"),
        (
            lower("ping_p50_us", "answer to a ping, p50", "ping p50, µs", "µs"),
            lower("ping_p99_us", "answer to a ping, p99", "ping p99, µs", "µs"),
            lower("ping_p100_us", "answer to a ping, slowest", "slowest, µs", "µs"),
        ),
        connections=10_012,
        fresh_server=True,
        timeout=180,
        takes=lambda peer: peer.name == "chatroom",
    ),
    Scenario(
        "compression",
        "compression",
        "100 events of 2 KiB a second to 100 subscribers",
        "2 KiB of JSON",
        ("compression", "--subscribers", "100", "--rate", "100"),
        (
            lower("bytes_per_delivery", "size of an event", "bytes each", "bytes"),
            lower("server_us", "processor time of a delivery", "µs each", "µs", 1),
        ),
        takes=lambda peer: bool(peer.groups) or peer.name in ("chatroom", "ws"),
    ),
    Scenario(
        "jitter",
        "jitter",
        "jitter, 1,000 clients",
        "jitter",
        ("jitter", "--clients", "1000", "--messages", "750"),
        (
            Metric("delivered_percent", "messages delivered", "delivered, %", "%", digits=2),
            lower("lost", "deliveries lost", "lost", "", compared=False),
            lower("duplicates", "deliveries repeated", "repeated", "", compared=False),
            lower("back_p50_ms", "reconnection to subscription, p50", "back p50, ms", "ms", 1),
            lower("back_p99_ms", "reconnection to subscription, p99", "back p99, ms", "ms", 1),
        ),
        connections=1001,
        fresh_server=True,
        timeout=120,
        takes=loses_connections,
    ),
    Scenario(
        "avalanche",
        "avalanche",
        "a restart with 5,000 clients",
        "restart",
        ("avalanche", "--clients", "5000"),
        (
            lower("back_p95_s", "SIGTERM until 95 % are back", "95 % back, s", "s", 2),
            lower("back_p50_s", "SIGTERM until half are back", "half back, s", "s", 2),
            lower("back_p100_s", "SIGTERM until all are back", "all back, s", "s", 2),
            Metric("back_percent", "clients back within 60 s", "back in 60 s, %", "%", digits=1),
            lower("silence_s", "longest time without an answer", "no answer, s", "s", 2),
            lower("slowest_answer_ms", "slowest answer meanwhile", "slowest answer, ms", "ms"),
            Metric("delivered_percent", "messages delivered", "delivered, %", "%", digits=2),
            lower("lost", "deliveries lost", "lost", "", compared=False),
            Metric(
                "told", "clients told that messages may be missing", "told of a gap", compared=False
            ),
            lower("opening_s", "5,000 first subscriptions", "first subscriptions, s", "s", 2),
            lower(
                "opening_slowest_ms", "slowest answer during these", "slowest of these, ms", "ms"
            ),
        ),
        connections=5002,
        fresh_server=True,
        restarts=True,
        timeout=180,
        takes=loses_connections,
    ),
    Scenario(
        "rest",
        "rest",
        "publications over REST, 8 connections",
        "8 connections",
        ("rest", "--connections", "8"),
        (PUBLICATIONS,),
        connections=9,
        takes=lambda peer: peer.rest,
    ),
    Scenario(
        "rest-single",
        "rest",
        "publications over REST, 1 connection",
        "1 connection",
        ("rest", "--connections", "1"),
        (PUBLICATIONS, SERVER_COST),
        connections=2,
        takes=lambda peer: peer.rest,
    ),
    Scenario(
        "rest-batch",
        "rest",
        "batches of 1,000 publications over REST to 10 subscribers, 1 connection",
        "batches of 1,000",
        ("batch", "--subscribers", "10", "--size", "1000"),
        (PUBLICATIONS, DELIVERIES, SERVER_COST),
        connections=11,
        takes=lambda peer: peer.batches,
    ),
    relay_fan_out("window", 1),
    relay_fan_out("window", 8),
    relay_fan_out("burst", 8),
    relay_fan_out("window", 32),
    relay_latency(100, takes=in_several_processes),
    relay_latency(FULL_RATE, takes=lambda peer: in_several_processes(peer) and not peer.by_group),
    relay_interest("unwanted", "publications that nobody elsewhere wants"),
    relay_interest(
        "neighbour",
        "publications of a topic whose partition is wanted elsewhere",
        lambda peer: peer.name == "chatroom-relay",
    ),
    relay_interest("wanted", "publications to one subscriber in each process"),
    Scenario(
        "relay-history",
        RELAY,
        "publications to a topic with history",
        "history",
        ("relay-history",),
        (
            PUBLICATIONS,
            OWN_COST,
            OTHER_COST,
            BROKER_COST,
        ),
        named=True,
        takes=lambda peer: peer.name == "chatroom-relay",
    ),
    Scenario(
        "relay-topics",
        RELAY,
        "creation of 2,000 topics",
        "topics",
        ("relay-topics", "--count", "2000"),
        (
            Metric("creations_per_second", "creations a second", "creations/s"),
            lower("own_kib_per_topic", "memory for each topic", "KiB each", "KiB", 1),
            lower("other_kib_per_topic", "the same in the other process", "other, KiB", "KiB", 1),
            OTHER_COST,
            lower("start_mib", "memory of a process without clients", "at start, MiB", "MiB", 1),
        ),
        fresh_server=True,
        named=True,
        takes=lambda peer: peer.name == "chatroom-relay",
    ),
)
