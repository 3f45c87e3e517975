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

    @property
    def heading(self) -> str:
        """What it is, in which unit, and which way is better."""
        unit = f"{self.unit}, " if self.unit else ""
        return f"{self.title} ({unit}{'higher' if self.higher_is_better else 'lower'} is better)"


DELIVERIES = Metric("deliveries_per_second", "deliveries a second")
EVENT_P50 = Metric("event_p50_us", "publication to delivery, p50", "µs", higher_is_better=False)
EVENT_P99 = Metric("event_p99_us", "publication to delivery, p99", "µs", higher_is_better=False)


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
)
