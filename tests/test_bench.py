"""The benchmark: what it counts, and what it makes of that."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.metrics import DELIVERIES, GROWTH, Metric
from bench.results import Results
from tests.live.server import Server

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def server() -> Iterator[Server]:
    """A chat room with the settings of the benchmark."""
    server = Server(CHATROOM_AUTO_CREATE_TOPICS="true")
    try:
        yield server
    finally:
        server.close()


def run_load(server: Server, *arguments: str) -> Any:
    """Run the load generator against a server for a moment; return its figures."""
    load, *options = arguments
    command = [sys.executable, "-m", "bench.load", load, str(server.port), "--seconds", "0.2"]
    done = subprocess.run(
        [*command, *options], cwd=PROJECT, capture_output=True, check=True, timeout=60
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "calibration"),
    [
        (("fanout", "--subscribers", "7", "--window", "1"), 7),
        (("fanout", "--subscribers", "7", "--window", "8"), 7),
        (("rooms", "--rooms", "3", "--members", "4"), 3),
    ],
)
def test_load_counts_what_the_server_counts(
    server: Server, arguments: tuple[str, ...], calibration: int
) -> None:
    """Deliveries, besides those of the one publication that shows how large an event is."""
    figures = run_load(server, *arguments)
    totals = server.request("GET", "/stats")[1]["totals"]
    assert figures["deliveries"] > calibration
    assert figures["deliveries"] + calibration == totals["delivered"]
    assert totals["dropped"] == 0


def sampled(metric: Metric, **values: list[float]) -> Results:
    """Return results with one scenario, in which each peer has these values, run by run."""
    results = Results()
    for peer, of_peer in values.items():
        for run, value in enumerate(of_peer, 1):
            results.add("some", peer, run, {metric.key: value, "generator_share": value / 100})
    return results


def test_median_and_spread() -> None:
    """Of an odd and of an even number of runs."""
    figures = sampled(DELIVERIES, odd=[30, 10, 20], even=[10, 20]).figures("some", DELIVERIES)
    odd, even = figures["odd"], figures["even"]
    assert (odd.median, odd.lowest, odd.highest) == (20, 10, 30)
    assert (even.median, even.lowest, even.highest) == (15, 10, 20)


def test_ratios_are_of_the_same_run() -> None:
    """A run that was slow for both counts no less."""
    results = sampled(DELIVERIES, chatroom=[20, 2, 30], go=[10, 1, 10])
    figures = results.figures("some", DELIVERIES)
    assert figures["chatroom"].ratios == {"go": 2}
    assert figures["go"].ratios == {"go": 1}


def test_ratios_leave_out_what_failed() -> None:
    """A run in which one of both gave no figure."""
    results = sampled(DELIVERIES, chatroom=[20, 40])
    results.add("some", "go", 2, {DELIVERIES.key: 10, "generator_share": 0.1})
    assert results.figures("some", DELIVERIES)["chatroom"].ratios == {"go": 4}


def test_growth_has_no_ratio() -> None:
    """It may be nothing, or negative."""
    figures = sampled(GROWTH, chatroom=[0.5], go=[-0.5]).figures("some", GROWTH)
    assert figures["chatroom"].ratios == {}


def test_busy_generator_is_marked() -> None:
    """If it was busy in one run."""
    figures = sampled(DELIVERIES, busy=[50, 91], idle=[50, 90]).figures("some", DELIVERIES)
    assert figures["busy"].generator_was_busy
    assert not figures["idle"].generator_was_busy


def test_results_survive_a_file(tmp_path: Path) -> None:
    """Written and read, they give the same figures."""
    results = sampled(DELIVERIES, chatroom=[20, 2], go=[10, 1])
    results.fail("some", "go", 3, "a reason")
    results.save(tmp_path / "results.json")
    loaded = Results.load(tmp_path / "results.json")
    assert loaded == results
    assert loaded.figures("some", DELIVERIES) == results.figures("some", DELIVERIES)
