"""What the conformance run makes of the suite's verdicts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.suite import FAILED, INFORMATIONAL, NON_STRICT, OK, read_report
from tests.conformance.table import shortcomings, table
from tests.live.server import PROJECT


@pytest.mark.parametrize(
    ("behavior", "at_end", "expected"),
    [
        ("OK", "OK", OK),
        ("NON-STRICT", "OK", NON_STRICT),
        ("INFORMATIONAL", "INFORMATIONAL", INFORMATIONAL),
        ("FAILED", "OK", FAILED),
        ("UNIMPLEMENTED", "OK", FAILED),
        ("OK", "UNCLEAN", FAILED),
        ("OK", "WRONG CODE", NON_STRICT),
        ("OK", "FAILED BY CLIENT", NON_STRICT),
        ("FAILED", "FAILED BY CLIENT", FAILED),
    ],
)
def test_worse_verdict_counts(tmp_path: Path, behavior: str, at_end: str, expected: str) -> None:
    """A case passes only if both its messages and the end of its connection are right."""
    report = {"server": {"1.1.1": {"behavior": behavior, "behaviorClose": at_end}}}
    (tmp_path / "index.json").write_text(json.dumps(report))
    assert read_report(tmp_path) == {"1.1.1": expected}


def test_unfinished_run_has_no_report(tmp_path: Path) -> None:
    """A run that the suite did not finish is an error, not a run without failures."""
    with pytest.raises(FileNotFoundError):
        read_report(tmp_path)


def test_shortcomings() -> None:
    """A case counts against ours if it fails, or if Daphne does better, in the suite's order."""
    ours = {"1.1": OK, "2.1": FAILED, "2.2": FAILED, "2.10": NON_STRICT, "3.1": NON_STRICT}
    reference = {"1.1": OK, "2.1": FAILED, "2.2": OK, "2.10": OK, "3.1": FAILED, "10.1": OK}
    assert shortcomings(ours, reference) == ["2.1", "2.2", "2.10", "10.1"]
    assert shortcomings({"7.1": INFORMATIONAL}, {"7.1": OK}) == []


def test_table_counts_by_section() -> None:
    """Each section is a line with the counts for both servers."""
    ours = {"1.1.1": OK, "1.1.2": OK, "10.1.1": FAILED}
    lines = list(table(ours, dict.fromkeys(ours, NON_STRICT)))
    (framing,) = [line for line in lines if "Framing" in line]
    assert framing.split() == ["1", "Framing", "2", "2"]
    (everything,) = [line for line in lines if line.startswith("All")]
    assert everything.split() == ["All", "2", "1", "3"]
    assert lines[-1].split() == ["10.1.1", "FAILED", "Daphne:", "NON-STRICT"]


def test_missing_python_skips_the_run(tmp_path: Path) -> None:
    """Without Python 2.7 the run is skipped with a message, and that is no failure."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.conformance"],
        cwd=PROJECT,
        env={"HOME": str(tmp_path), "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "skipped: missing: Python 2.7" in done.stdout
