"""Results as SVG images, on white, so that they can be read on light and dark pages."""

from pathlib import Path
from typing import Any

from bench.metrics import DELIVERIES, DELIVERY, Metric
from bench.peers import PEERS
from bench.results import Results
from bench.scenarios import SCENARIOS, Scenario

BLUES = ("#9ecae1", "#4292c6", "#08519c", "#062a52")
"""From few publications in flight to many."""

LEAST_DELIVERIES = 100
"""The lower ends of the logarithmic axes."""

CHAT_ROOM, OTHERS = "#d94801", "#6b7280"
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
OVERVIEW = ("rooms", "connect", "idle", "stalled", "flood", "rest", "jitter", "avalanche")


def draw(results: Results, folder: Path) -> dict[str, Path]:
    """Write the images for what was measured; return their paths by title."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "bench", "svg.fonttype": "none", "font.size": 9})
    images = {}
    for name, title, fill in (
        ("fanout", "Deliveries a second", _draw_fanout),
        ("latency", "Latency of a delivery", _draw_latency),
        ("overview", "Rooms, connections, memory, REST and lost connections", _draw_overview),
    ):
        figure = Figure(layout="constrained", facecolor="white")
        if fill(results, figure):
            figure.suptitle(title, fontweight="bold")
            images[title] = folder / f"{name}.svg"
            figure.savefig(images[title], metadata={"Date": None})
    return images


def _rows(results: Results, pairs: list[tuple[Scenario, Metric]]) -> list[tuple[str, list[float]]]:
    """Return the medians of each peer that has one, the last peer first."""
    found = [results.figures(scenario.name, metric) for scenario, metric in pairs]
    return [
        (
            peer.title,
            [one[peer.name].median if peer.name in one else float("nan") for one in found],
        )
        for peer in reversed(PEERS)
        if any(peer.name in one for one in found)
    ]


def _name_rows(axes: Any, rows: list[tuple[str, list[float]]]) -> None:
    """Put the peers' names on the left, the chat room's in its colour."""
    axes.set_yticks(range(len(rows)), [title for title, _ in rows])
    for label in axes.get_yticklabels():
        if label.get_text().startswith("chat room"):
            label.set(color=CHAT_ROOM, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e7eb")
    axes.set_axisbelow(True)


def _add_legend(figure: Any) -> None:
    """Put one legend under all panels, with every label once."""
    found = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=len(found))


def _draw_fanout(results: Results, figure: Any) -> bool:
    """Draw a panel for each number of subscribers, in it a bar for each window."""
    panels = []
    for count in (1, 100, 1000, 5000):
        scenarios = [one for one in SCENARIOS if one.name.startswith(f"fanout-{count}-")]
        if rows := _rows(results, [(one, DELIVERIES) for one in scenarios]):
            panels.append((count, scenarios, rows))
    if not panels:
        return False
    lines = (len(panels) + 1) // 2
    figure.set_size_inches(11, 0.6 + lines * 4.2)
    for number, (count, scenarios, rows) in enumerate(panels, 1):
        axes = figure.add_subplot(lines, 2, number)
        height = 0.8 / len(scenarios)
        for place, scenario in enumerate(scenarios):
            positions = [row + 0.4 - (place + 0.5) * height for row in range(len(rows))]
            values = [medians[place] for _, medians in rows]
            axes.barh(positions, values, height, color=BLUES[place], label=scenario.column)
        axes.set_xscale("log")
        axes.set_xlim(left=LEAST_DELIVERIES)
        axes.set_title(f"to {count:,} subscriber{'s' if count > 1 else ''}")
        _name_rows(axes, rows)
    _add_legend(figure)
    return True


def _draw_latency(results: Results, figure: Any) -> bool:
    """Draw a panel for each scenario, in it a line from p50 to p99 or p99.9."""
    names = ("fanout-100-window-1", "fanout-5000-window-1", "roundtrip-500", "roundtrip")
    panels = []
    for scenario in map(BY_NAME.__getitem__, names):
        metrics = [metric for metric in DELIVERY if metric in scenario.metrics]
        if rows := _rows(results, [(scenario, metric) for metric in metrics]):
            panels.append((scenario, metrics, rows))
    if not panels:
        return False
    lines = (len(panels) + 1) // 2
    figure.set_size_inches(11, 0.6 + lines * 3.4)
    for number, (scenario, metrics, rows) in enumerate(panels, 1):
        axes = figure.add_subplot(lines, 2, number)
        for row, (_, medians) in enumerate(rows):
            axes.plot(medians, [row] * len(medians), color=BLUES[0], linewidth=2, zorder=1)
        for place, metric in enumerate(metrics):
            values = [medians[place] for _, medians in rows]
            label = metric.title.rpartition(", ")[2]
            axes.scatter(values, range(len(rows)), color=BLUES[place + 1], label=label, zorder=2)
        axes.set_xscale("log")
        axes.set_xlabel("µs")
        axes.set_title(scenario.title)
        _name_rows(axes, rows)
    _add_legend(figure)
    return True


def _draw_overview(results: Results, figure: Any) -> bool:
    """Draw a panel of bars for the first metric of each of the other scenarios."""
    panels = [
        (scenario, scenario.metrics[0], rows)
        for scenario in map(BY_NAME.__getitem__, OVERVIEW)
        if (rows := _rows(results, [(scenario, scenario.metrics[0])]))
    ]
    if not panels:
        return False
    lines = (len(panels) + 1) // 2
    figure.set_size_inches(11, 0.6 + lines * 3.2)
    for number, (scenario, metric, rows) in enumerate(panels, 1):
        axes = figure.add_subplot(lines, 2, number)
        values = [medians[0] for _, medians in rows]
        colours = [CHAT_ROOM if title.startswith("chat room") else OTHERS for title, _ in rows]
        bars = axes.barh(range(len(rows)), values, color=colours)
        axes.bar_label(bars, [f" {metric.show(value)}" for value in values], fontsize=8)
        axes.margins(x=0.18)
        axes.locator_params(axis="x", nbins=5)
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_title(f"{scenario.title}\n{metric.heading}", fontsize=9)
        _name_rows(axes, rows)
    return True
