"""Two checkouts side by side: one line for each scenario, with the ratio of one to the other."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.metrics import SERVER_COST, Metric
from bench.peers import SUBJECT
from bench.results import Results, Sample
from bench.scenarios import SCENARIOS, Scenario

THRESHOLD = 0.97
"""A ratio below this is marked as worse."""

NONE = "–"
LEGEND = f"""
Each line shows the median over the runs. A ratio compares two samples of one run and is above 1
where this checkout is better, also for figures of which less is better. "cpu" is the ratio of the
server's processor time for each delivery or handshake: look at it first when other programs run
on the machine. Ratios below {THRESHOLD} are marked with an asterisk."""


@dataclass(frozen=True)
class Comparison:
    """How this checkout does in a scenario beside the other one."""

    scenario: Scenario
    metric: Metric
    this: float
    """The median over the runs."""

    other: float
    ratios: Sequence[float]
    """One for each run that both have a figure of."""

    cpu_ratios: Sequence[float] = ()
    """The same for the server's processor time, where the load measures it."""

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)

    @property
    def cpu_ratio(self) -> float | None:
        """The median of the ratios of processor time, if there are any."""
        return statistics.median(self.cpu_ratios) if self.cpu_ratios else None

    @property
    def worse(self) -> bool:
        """Whether this checkout is worse by more than the threshold."""
        return self.ratio < THRESHOLD


def compare(results: Results, other: str) -> Iterator[Comparison]:
    """Compare the first metric of each scenario of which both have figures.

    Args:
        results: What was measured, among it both checkouts.
        other: The name under which the results have the other checkout.
    """
    for scenario in SCENARIOS:
        metric = scenario.metrics[0]
        samples = results.samples.get(scenario.name, {})
        this_runs, other_runs = samples.get(SUBJECT, {}), samples.get(other, {})
        pairs = [(this_runs[run], other_runs[run]) for run in this_runs if run in other_runs]
        if metric.compared and pairs:
            yield Comparison(
                scenario,
                metric,
                this=statistics.median(this[metric.key] for this, _ in pairs),
                other=statistics.median(sample[metric.key] for _, sample in pairs),
                ratios=_ratios(metric, pairs),
                cpu_ratios=_ratios(SERVER_COST, pairs),
            )


def _ratios(metric: Metric, pairs: Sequence[tuple[Sample, Sample]]) -> list[float]:
    """Return the ratio of each pair that has this figure and is not divided by zero."""
    values = [
        (this[metric.key], other[metric.key])
        for this, other in pairs
        if this.get(metric.key) and other.get(metric.key)
    ]
    return [this / other if metric.higher_is_better else other / this for this, other in values]


def comparison_table(results: Results, other: str) -> Iterator[str]:
    """Give the lines of the table for the terminal."""
    rows = list(compare(results, other))
    if not rows:
        yield "Nothing to compare: no scenario has figures of both checkouts."
        return
    head = f"{'this':>10}{'other':>10}{'ratio':>8} {'lowest – highest':>17}{'cpu':>8}"
    yield f"\n{'':<33}{'':<14}{head}"
    for row in rows:
        figures = f"{row.metric.show(row.this):>10}{row.metric.show(row.other):>10}"
        spread = f"{min(row.ratios):.3f} – {max(row.ratios):.3f}"
        ratios = f"{_show(row.ratio):>8} {spread:>17}{_show(row.cpu_ratio):>8}"
        unit = row.metric.unit or row.metric.column
        yield f"{row.scenario.title:<33}{unit:<14}{figures}{ratios}"
    worse = sum(row.worse for row in rows)
    yield f"\n{worse} of {len(rows)} ratios are below {THRESHOLD}."
    yield LEGEND


def _show(ratio: float | None) -> str:
    if ratio is None:
        return f"{NONE} "
    return f"{ratio:.3f}{'*' if ratio < THRESHOLD else ' '}"
