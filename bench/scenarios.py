"""The scenarios: what is measured, with which load, of which peers."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.checkout import NAME
from bench.metrics import DELIVERIES, DELIVERY, GROWTH, REPLY, Metric, lower
from bench.peers import Peer


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
        (Metric("publications_per_second", "publications a second", "publications/s"),),
        connections=9,
        takes=lambda peer: peer.rest,
    ),
)
