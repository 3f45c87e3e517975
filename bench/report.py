"""Results as a table for the terminal."""

from collections.abc import Iterator

from bench.metrics import Metric
from bench.peers import PEERS, Peer
from bench.results import REFERENCES, Figure, Results
from bench.scenarios import SCENARIOS


def terminal_table(results: Results) -> Iterator[str]:
    """Give the lines: for each metric the median, the spread and the ratios of each peer."""
    for scenario in SCENARIOS:
        for metric in scenario.metrics:
            figures = results.figures(scenario.name, metric)
            if not figures:
                continue
            yield f"\n{scenario.title}: {metric.heading}"
            for peer in PEERS:
                if peer.name in figures:
                    yield _row(peer, metric, figures[peer.name])


def failures(results: Results) -> Iterator[str]:
    """Give a line for each measurement that failed."""
    titles = {peer.name: peer.title for peer in PEERS}
    if results.failures:
        yield "\nfailed:"
    for scenario in SCENARIOS:
        for name, reasons in results.failures.get(scenario.name, {}).items():
            for reason in reasons:
                yield f"  {titles.get(name, name)}: {scenario.title}: {reason}"


def _row(peer: Peer, metric: Metric, figure: Figure) -> str:
    ratios = "".join(
        f"{figure.ratios[reference]:>10,.2f} × {name}"
        for reference, name in REFERENCES.items()
        if reference in figure.ratios
    )
    spread = f"({metric.show(figure.lowest)} to {metric.show(figure.highest)})"
    busy = "  the load generator was the limit" if figure.generator_was_busy else ""
    return f"  {peer.title:<30}{metric.show(figure.median):>11} {spread:<25}{ratios}{busy}".rstrip()
