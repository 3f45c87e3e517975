"""The scenarios: what is measured, with which load, of which peers."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.peers import Peer


@dataclass(frozen=True)
class Metric:
    """One figure of a scenario."""

    key: str
    """Its name in the load's answer."""

    title: str
    unit: str = ""
    higher_is_better: bool = True
    digits: int = 0
    """After the decimal point, where it is shown."""

    compared: bool = True
    """Whether a ratio to another peer says anything; a growth may be nothing, or less."""

    @property
    def heading(self) -> str:
        """What it is, in which unit, and which way is better."""
        unit = f"{self.unit}, " if self.unit else ""
        return f"{self.title} ({unit}{'higher' if self.higher_is_better else 'lower'} is better)"


def lower(key: str, title: str, unit: str, digits: int = 0) -> Metric:
    """Return a metric of which less is better."""
    return Metric(key, title, unit, higher_is_better=False, digits=digits)


DELIVERIES = Metric("deliveries_per_second", "deliveries a second")
EVENT_P50 = lower("event_p50_us", "publication to delivery, p50", "µs")
EVENT_P99 = lower("event_p99_us", "publication to delivery, p99", "µs")
ROUND_TRIP = (
    lower("ack_p50_us", "publication to reply, p50", "µs"),
    lower("ack_p99_us", "publication to reply, p99", "µs"),
    lower("ack_p99.9_us", "publication to reply, p99.9", "µs"),
    EVENT_P50,
    EVENT_P99,
    lower("event_p99.9_us", "publication to delivery, p99.9", "µs"),
)
GROWTH = Metric(
    "growth_mb", "growth of the server", "MB", higher_is_better=False, digits=1, compared=False
)


@dataclass(frozen=True)
class Scenario:
    """A load, and the figures it gives."""

    name: str
    """As the command line and the results have it."""

    group: str
    """Scenarios that are shown together."""

    title: str
    load: tuple[str, ...]
    """The arguments of `bench.load`."""

    metrics: tuple[Metric, ...]
    connections: int = 100
    """About how many file descriptors it takes on either side."""

    fresh_server: bool = False
    """Whether it needs a server that has served nobody."""

    quick: bool = False
    """Whether it is part of a quick run."""

    timeout: float = 60.0
    """Seconds that it may take beside those of the measurement itself."""

    takes: Callable[[Peer], bool] = lambda peer: True
    """Which peers take part."""


def fanout(subscribers: int, window: int, *, quick: bool = False) -> Scenario:
    """One publisher, so many subscribers, so many publications in flight."""
    return Scenario(
        name=f"fanout-{subscribers}-window-{window}",
        group="fanout",
        title=f"fan-out to {subscribers:,}, window {window}",
        load=("fanout", "--subscribers", str(subscribers), "--window", str(window)),
        metrics=(DELIVERIES, EVENT_P50, EVENT_P99) if window == 1 else (DELIVERIES,),
        connections=subscribers,
        quick=quick,
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
        "100 rooms of 10 who all talk",
        ("rooms", "--rooms", "100", "--members", "10"),
        (DELIVERIES,),
        connections=1000,
        quick=True,
    ),
    Scenario(
        "roundtrip",
        "roundtrip",
        "round trip to 10 subscribers at 30 % of the maximum",
        ("roundtrip", "--percent", "30"),
        (Metric("rate", "publications a second"), *ROUND_TRIP),
    ),
    Scenario(
        "roundtrip-500",
        "roundtrip",
        "round trip to 10 subscribers at 500 publications a second",
        ("roundtrip", "--rate", "500"),
        ROUND_TRIP,
    ),
    Scenario(
        "connect",
        "connections",
        "2,000 connections, 32 at a time",
        ("connect", "--count", "2000"),
        (Metric("connections_per_second", "handshakes a second"),),
        connections=2000,
    ),
    Scenario(
        "rest",
        "rest",
        "publications over REST, 8 connections",
        ("rest", "--connections", "8"),
        (Metric("publications_per_second", "publications a second"),),
        takes=lambda peer: peer.rest,
    ),
    Scenario(
        "idle",
        "connections",
        "2,000 idle subscribers",
        ("idle", "--count", "2000"),
        (lower("kib_per_connection", "memory for each", "KiB", digits=1),),
        connections=2200,
        fresh_server=True,
    ),
    Scenario(
        "stalled",
        "slow",
        "a subscriber that never reads, 50,000 messages of 1 KiB",
        ("stalled", "--messages", "50000"),
        (GROWTH,),
        fresh_server=True,
        timeout=120,
    ),
    Scenario(
        "flood",
        "slow",
        "a client that publishes without a pause and never reads, 5 s",
        ("flood", "--flood", "5"),
        (
            GROWTH,
            lower("slowest_ping_ms", "slowest answer to another client", "ms", digits=1),
        ),
        fresh_server=True,
    ),
    Scenario(
        "stop",
        "connections",
        "stop with 1,000 clients",
        ("stop", "--count", "1000"),
        (
            Metric("told", "clients told 3001"),
            lower("stop_seconds", "time until it is gone", "s", digits=2),
        ),
        connections=1000,
        fresh_server=True,
        takes=lambda peer: peer.name == "chatroom",
    ),
)
