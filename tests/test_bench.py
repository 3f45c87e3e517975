"""The benchmark: what it counts, and what it concludes from that."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.checkout import NoCheckout, checked_out
from bench.comparison import compare, comparison_table
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
    """Both count the same deliveries, apart from one publication that shows an event's size."""
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
    """The median is right for an odd and for an even number of runs."""
    figures = sampled(DELIVERIES, odd=[30, 10, 20], even=[10, 20]).figures("some", DELIVERIES)
    odd, even = figures["odd"], figures["even"]
    assert (odd.median, odd.lowest, odd.highest) == (20, 10, 30)
    assert (even.median, even.lowest, even.highest) == (15, 10, 20)


def test_ratios_are_of_the_same_run() -> None:
    """A run that was slow for both peers counts as much as any other."""
    results = sampled(DELIVERIES, chatroom=[20, 2, 30], go=[10, 1, 10])
    figures = results.figures("some", DELIVERIES)
    assert figures["chatroom"].ratios == {"go": 2}
    assert figures["go"].ratios == {"go": 1}


def test_ratios_leave_out_what_failed() -> None:
    """A run in which one of the two peers has no figure is ignored."""
    results = sampled(DELIVERIES, chatroom=[20, 40])
    results.add("some", "go", 2, {DELIVERIES.key: 10, "generator_share": 0.1})
    assert results.figures("some", DELIVERIES)["chatroom"].ratios == {"go": 4}


def test_growth_has_no_ratio() -> None:
    """A growth may be zero or negative, so it has no ratio."""
    figures = sampled(GROWTH, chatroom=[0.5], go=[-0.5]).figures("some", GROWTH)
    assert figures["chatroom"].ratios == {}


def test_busy_generator_is_marked() -> None:
    """A figure is marked if the generator was busy in at least one run."""
    figures = sampled(DELIVERIES, busy=[50, 91], idle=[50, 90]).figures("some", DELIVERIES)
    assert figures["busy"].generator_was_busy
    assert not figures["idle"].generator_was_busy


def test_results_survive_a_file(tmp_path: Path) -> None:
    """Results that are written and read again give the same figures."""
    results = sampled(DELIVERIES, chatroom=[20, 2], go=[10, 1])
    results.fail("some", "go", 3, "a reason")
    results.save(tmp_path / "results.json")
    loaded = Results.load(tmp_path / "results.json")
    assert loaded == results
    assert loaded.figures("some", DELIVERIES) == results.figures("some", DELIVERIES)


# --- Another checkout as a peer ---

FANOUT, IDLE = "fanout-100-window-8", "idle"


def git(folder: Path, *arguments: str) -> str:
    """Run git; return its output."""
    identity = ("-c", "user.name=Someone", "-c", "user.email=someone@example.org")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two commits, the first of which serves an older application."""
    folder = tmp_path / "repository"
    application = folder / "chatroom_project/asgi.py"
    application.parent.mkdir(parents=True)
    git(tmp_path, "init", "--quiet", str(folder))
    for version in ("older", "newer"):
        application.write_text(version)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", version)
    return folder


def test_commit_is_checked_out_and_removed(repository: Path) -> None:
    """A commit is served from a worktree that exists for the time of the comparison only."""
    with checked_out("HEAD~1", repository) as peer:
        assert (peer.folder / "chatroom_project/asgi.py").read_text() == "older"
        assert len(git(repository, "worktree", "list").splitlines()) == 2
    assert not peer.folder.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_worktree_is_removed_after_an_error(repository: Path) -> None:
    """A comparison that is interrupted leaves no worktree behind."""
    with pytest.raises(KeyboardInterrupt), checked_out("HEAD", repository):
        raise KeyboardInterrupt
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_folder_is_served_with_its_own_interpreter(repository: Path) -> None:
    """A checkout that has a virtual environment runs in it; any other runs in ours."""
    with checked_out(str(repository)) as peer:
        assert (peer.folder, peer.command[0]) == (repository, sys.executable)
    interpreter = repository / ".venv/bin/python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    with checked_out(str(repository)) as peer:
        assert peer.command[0] == str(interpreter)


@pytest.mark.parametrize("where", ["no-such-thing", "chatroom_project"])
def test_what_is_no_checkout_is_refused(
    repository: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an unknown name nor a folder without the project can be measured."""
    monkeypatch.chdir(repository)
    with pytest.raises(NoCheckout, match=where), checked_out(where, repository):
        pass


def compared(this: list[float], other: list[float], scenario: str = FANOUT) -> Results:
    """Return results in which both checkouts have these values, run by run."""
    key = "deliveries_per_second" if scenario == FANOUT else "kib_per_connection"
    results = Results()
    for peer, values in {"chatroom": this, "other": other}.items():
        for run, value in enumerate(values, 1):
            results.add(scenario, peer, run, {key: value})
    return results


def test_comparison_is_of_the_same_run() -> None:
    """Medians are of the values, and ratios are of two values of one run."""
    (row,) = compare(compared([20, 3, 30], [10, 1, 10]), "other")
    assert (row.this, row.other) == (20, 10)
    assert row.ratios == [2, 3, 3]
    assert row.ratio == 3


def test_comparison_is_above_one_where_less_is_better() -> None:
    """A ratio above 1 is an improvement, whichever way the figure points."""
    (row,) = compare(compared([10], [20], IDLE), "other")
    assert row.ratio == 2


def test_comparison_leaves_out_what_one_has_not() -> None:
    """A run that failed for one checkout counts for neither."""
    (row,) = compare(compared([20, 50], [10]), "other")
    assert (row.this, row.ratio) == (20, 2)


@pytest.mark.parametrize(("this", "worse"), [(96, True), (97, False), (100, False)])
def test_comparison_marks_what_is_worse(this: float, worse: bool) -> None:
    """A ratio below 0.97 is marked and counted."""
    results = compared([this], [100])
    table = "\n".join(comparison_table(results, "other"))
    assert (f"{this / 100:.3f}*" in table) == worse
    assert f"{worse:d} of 1 ratios are below 0.97" in table


def test_two_checkouts_are_measured() -> None:
    """A checkout beside itself: both servers start, and one line has the figures of both."""
    command = [sys.executable, "-m", "bench", "--against", ".", "--scenario", "fanout-1-window-1"]
    done = subprocess.run(
        [*command, "--runs", "1", "--seconds", "0.1"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    )
    (line,) = [line for line in done.stdout.splitlines() if "deliveries/s" in line]
    assert "fan-out to 1, window 1" in line
    assert " of 1 ratios are below 0.97" in done.stdout
