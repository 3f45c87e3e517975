"""The figures that scenarios give."""

from dataclasses import dataclass

PERCENTS = ("50", "99", "99.9")


@dataclass(frozen=True)
class Metric:
    """One figure of a scenario."""

    key: str
    """Its name in the load's answer."""

    title: str
    column: str
    """The same in a word or two, with the unit, for the head of a column."""

    unit: str = ""
    higher_is_better: bool = True
    digits: int = 0
    """After the decimal point, where it is shown."""

    compared: bool = True
    """Whether a ratio to another peer means anything; a growth may be zero or negative."""

    @property
    def heading(self) -> str:
        """The title, the unit, and whether higher or lower is better."""
        unit = f"{self.unit}, " if self.unit else ""
        return f"{self.title} ({unit}{'higher' if self.higher_is_better else 'lower'} is better)"

    def show(self, value: float) -> str:
        """Return a figure as it is shown in tables."""
        return f"{value:,.{self.digits}f}"


def lower(
    key: str, title: str, column: str, unit: str, digits: int = 0, *, compared: bool = True
) -> Metric:
    """Return a metric for which lower is better."""
    return Metric(key, title, column, unit, False, digits, compared)


def latency(what: str, title: str, column: str, percent: str) -> Metric:
    """Return a percentile of a latency."""
    key, unit = f"{what}_p{percent}_us", "µs"
    return lower(key, f"{title}, p{percent}", f"{column} p{percent}, {unit}", unit)


def share(key: str, title: str, column: str) -> Metric:
    """Return a share of a processor core, in percent; lower is better."""
    return lower(key, title, column, "%", 2, compared=False)


DELIVERIES = Metric("deliveries_per_second", "deliveries a second", "deliveries/s")
PUBLICATIONS = Metric("publications_per_second", "publications a second", "publications/s")
REPLY = [latency("ack", "publication to reply", "reply", percent) for percent in PERCENTS]
DELIVERY = [
    latency("event", "publication to delivery", "delivery", percent) for percent in PERCENTS
]
PER_PROCESSOR_SECOND = Metric(
    "deliveries_per_processor_second",
    "deliveries for each processor second of the server",
    "deliveries/processor s",
)
BROKER_COST = lower(
    "broker_us", "processor time of NATS or Redis for a publication", "broker, µs", "µs", 1
)
OWN_COST = lower("own_us", "processor time of the publisher's process", "own, µs", "µs", 2)
OTHER_COST = lower(
    "other_us", "processor time of the other process", "other, µs", "µs", 2, compared=False
)
GROWTH = lower("growth_mb", "growth of the server", "growth, MB", "MB", 1, compared=False)

SERVER_COST = lower("server_us", "processor time of the server for each", "processor, µs", "µs", 2)
"""Measured by loads that count operations, and shown only where two checkouts are compared."""
