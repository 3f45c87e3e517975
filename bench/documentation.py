"""Results as the tables and plots of ``docs/``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import plots
from bench.metrics import Metric
from bench.peers import PEERS, SUBJECT
from bench.results import REFERENCES, Figure, Results
from bench.scenarios import GROUPS, SCENARIOS, Scenario

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
NONE = "–"
HEAD = ("median", "lowest to highest", *(f"× {name}" for name in REFERENCES.values()))


def write(results: Results, page: Path) -> None:
    """Write everything that is generated: files beside the page, and the part between its marks.

    Raises:
        ValueError: The page has no marks.
    """
    folder = page.parent / page.stem
    folder.mkdir(exist_ok=True)
    images = plots.draw(results, folder)
    pictures = [f"\n![{title}]({folder.name}/{image.name})" for title, image in images.items()]
    link = f"\nSpread and ratios of every peer: [all figures]({folder.name}/all.md).\n"
    lines = [*_about(results), *pictures, link, *_summary(results), *_groups(results)]
    head, _, rest = page.read_text().partition(BEGIN)
    _, found, tail = rest.partition(END)
    if not found:
        raise ValueError(f"{page} has no lines {BEGIN} and {END}")
    text = "\n".join(lines).strip()
    page.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")
    (folder / "all.md").write_text("\n".join(_everything(results)) + "\n")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| --- |{' ---: |' * (len(head) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _about(results: Results) -> Iterator[str]:
    about = results.about
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield (
        f"Measured on {about['date']} at commit {about['commit']}: {about['cpu']}, "
        f"{about['cores']} cores, {about['kernel']}; {about['runs']} runs, "
        f"{about['seconds']:g} s for each measurement. {versions}."
    )
    for peer in PEERS:
        if peer.name in results.skipped:
            yield f"\nNot measured: {peer.title}. Missing: {results.skipped[peer.name]}."


def _figures(
    results: Results, scenarios: Sequence[Scenario] = SCENARIOS
) -> Iterator[tuple[Scenario, Metric, dict[str, Figure]]]:
    for scenario in scenarios:
        for metric in scenario.metrics:
            if figures := results.figures(scenario.name, metric):
                yield scenario, metric, figures


def _ratios(figure: Figure) -> list[str]:
    return [
        f"{figure.ratios[reference]:,.2f}" if reference in figure.ratios else NONE
        for reference in REFERENCES
    ]


def _spread(metric: Metric, figure: Figure) -> str:
    return f"{metric.show(figure.lowest)} to {metric.show(figure.highest)}"


def _summary(results: Results) -> Iterator[str]:
    """Give the table of the chat room alone, with all its ratios."""
    yield "### The chat room on Daphne\n"
    head = [
        "scenario",
        "median",
        "lowest to highest",
        *(f"× {name}" for name in REFERENCES.values()),
    ]
    rows = [
        [
            f"{scenario.title}: {metric.heading}",
            metric.show(figures[SUBJECT].median),
            _spread(metric, figures[SUBJECT]),
            *_ratios(figures[SUBJECT]),
        ]
        for scenario, metric, figures in _figures(results)
        if SUBJECT in figures
    ]
    yield from _table(head, rows)


def _groups(results: Results) -> Iterator[str]:
    """Give a table for each group, with a row for each peer and a column for each median."""
    for group, heading in GROUPS.items():
        columns = list(
            _figures(results, [scenario for scenario in SCENARIOS if scenario.group == group])
        )
        if not columns:
            continue
        yield f"\n### {heading}\n"
        head = ["", *(f"{scenario.column}: {metric.column}" for scenario, metric, _ in columns)]
        rows = []
        for peer in PEERS:
            cells = [
                _cell(metric, figures[peer.name]) if peer.name in figures else NONE
                for _, metric, figures in columns
            ]
            if set(cells) != {NONE}:
                rows.append([peer.title, *cells])
        yield from _table(head, rows)


def _cell(metric: Metric, figure: Figure) -> str:
    return metric.show(figure.median) + (" ¹" if figure.generator_was_busy else "")


def _everything(results: Results) -> Iterator[str]:
    """Give a page with a table for each metric: the spread and the ratios of all peers."""
    yield "# All figures\n"
    yield "Written by `make bench`. [Performance](../performance.md) explains what they mean."
    head = ["", *HEAD]
    for scenario, metric, figures in _figures(results):
        yield f"\n## {scenario.title}: {metric.heading}\n"
        rows = [
            [peer.title, _cell(metric, figure), _spread(metric, figure), *_ratios(figure)]
            for peer in PEERS
            if (figure := figures.get(peer.name))
        ]
        yield from _table(head, rows)
    yield "\n¹ In at least one run the load generator was busy for more than 90 % of the time."
    failures = [
        f"- {peer.title}, {scenario.title}, {reason}"
        for scenario in SCENARIOS
        for peer in PEERS
        for reason in results.failures.get(scenario.name, {}).get(peer.name, ())
    ]
    if failures:
        yield "\n## Failed\n"
        yield from failures
