"""Samples as medians, with their spread, and as ratios to two peers of the same run."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.peers import Peer
from bench.runner import BUSY_GENERATOR, Results
from bench.scenarios import Metric, Scenario

REFERENCES = {"go": "Go", "group-send": "group_send"}
"""The peers that the others are compared with, and their names in the tables."""


@dataclass(frozen=True)
class Figure:
    """What a peer reached in a scenario."""

    median: float
    lowest: float
    highest: float
    ratios: Mapping[str, float]
    """The median as a multiple of that of each reference."""

    runs: int
    generator_was_busy: bool


def figures(results: Results, scenario: Scenario, metric: Metric) -> dict[str, Figure]:
    """Return the figure of each peer that gave one, by the peer's name."""
    samples = {
        peer: [sample[metric.key] for sample in of_peer if metric.key in sample]
        for peer, of_peer in results.samples.get(scenario.name, {}).items()
    }
    medians = {peer: statistics.median(values) for peer, values in samples.items() if values}
    return {
        peer: Figure(
            median=median,
            lowest=min(samples[peer]),
            highest=max(samples[peer]),
            ratios={
                reference: median / medians[reference]
                for reference in REFERENCES
                if metric.compared and medians.get(reference)
            },
            runs=len(samples[peer]),
            generator_was_busy=any(
                sample["generator_share"] > BUSY_GENERATOR
                for sample in results.samples[scenario.name][peer]
            ),
        )
        for peer, median in medians.items()
    }


def terminal_table(
    results: Results, peers: Sequence[Peer], scenarios: Sequence[Scenario]
) -> Iterator[str]:
    """Give the lines of a table of everything."""
    for scenario in scenarios:
        for metric in scenario.metrics:
            found = figures(results, scenario, metric)
            if not found and scenario.name not in results.failures:
                continue
            yield f"\n{scenario.title}: {metric.heading}"
            for peer in peers:
                if peer.name in found:
                    yield "  " + _row(peer, metric, found[peer.name])
                if reason := results.failures.get(scenario.name, {}).get(peer.name):
                    yield f"  {peer.title:<30} failed: {reason}"


def _row(peer: Peer, metric: Metric, figure: Figure) -> str:
    ratios = "".join(
        f"{figure.ratios[reference]:>9.2f} × {name:<10}" if reference in figure.ratios else ""
        for reference, name in REFERENCES.items()
    )
    spread = f"({shown(figure.lowest, metric)} to {shown(figure.highest, metric)})"
    busy = "  the load generator was the limit" if figure.generator_was_busy else ""
    return f"{peer.title:<30}{shown(figure.median, metric):>11} {spread:<25}{ratios}{busy}".rstrip()


def shown(value: float, metric: Metric) -> str:
    """Return a figure as tables have it."""
    return f"{value:,.{metric.digits}f}"
