"""What was measured: samples, their medians and spread, and ratios to other peers."""

import json
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.metrics import Metric

BUSY_GENERATOR = 0.9
"""The share of a processor core above which the load generator may have been the limit."""

REFERENCES = {"go": "Go", "group-send": "group_send", "ordinary": "ordinary"}
"""The peers that the others are compared with, and their names in the tables."""

Sample = dict[str, float]


@dataclass(frozen=True)
class Figure:
    """What a peer achieved in a scenario."""

    median: float
    lowest: float
    highest: float
    ratios: Mapping[str, float]
    """By reference: the median, over the runs, of this peer's sample divided by the reference's."""

    generator_was_busy: bool = False
    """In at least one run."""


@dataclass
class Results:
    """All samples, by scenario and peer and run, and what was not measured."""

    samples: dict[str, dict[str, dict[str, Sample]]] = field(default_factory=dict)
    failures: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    """The commit, the machine, the versions (`bench.machine`)."""

    def add(self, scenario: str, peer: str, run: int, sample: Sample) -> None:
        """Record a sample. The numbers of runs are text, as in JSON."""
        self.samples.setdefault(scenario, {}).setdefault(peer, {})[str(run)] = sample

    def fail(self, scenario: str, peer: str, run: int, reason: str) -> None:
        """Record a failure."""
        reasons = self.failures.setdefault(scenario, {}).setdefault(peer, [])
        reasons.append(f"run {run}: {reason}")

    def figures(self, scenario: str, metric: Metric) -> dict[str, Figure]:
        """Return the figure of each peer that has one, by the peer's name."""
        runs_of = {
            peer: {run: sample[metric.key] for run, sample in runs.items() if metric.key in sample}
            for peer, runs in self.samples.get(scenario, {}).items()
        }
        return {
            peer: Figure(
                median=statistics.median(runs.values()),
                lowest=min(runs.values()),
                highest=max(runs.values()),
                ratios=_ratios(runs, runs_of) if metric.compared else {},
                generator_was_busy=any(
                    sample["generator_share"] > BUSY_GENERATOR
                    for sample in self.samples[scenario][peer].values()
                ),
            )
            for peer, runs in runs_of.items()
            if runs
        }

    def save(self, path: Path) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Results":
        """Read what `save` has written."""
        return cls(**json.loads(path.read_text()))


def _ratios(
    runs: Mapping[str, float], runs_of: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    ratios = {}
    for reference in REFERENCES:
        others = runs_of.get(reference, {})
        pairs = [(value, others[run]) for run, value in runs.items() if others.get(run)]
        if pairs:
            ratios[reference] = statistics.median(value / other for value, other in pairs)
    return ratios
