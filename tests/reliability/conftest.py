"""How long the reliability tests run, and their seed.

By default they take seconds, as part of the suite. ``make stress`` runs them for minutes:
``CHATROOM_STRESS`` is the factor for all numbers and durations (``make stress`` sets 40), and
``CHATROOM_STRESS_SEED`` repeats the random choices of a run.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.live.conftest import StartServer
from tests.live.server import Server, running_server

FACTOR = float(os.environ.get("CHATROOM_STRESS", "1"))
SEED = int(os.environ.get("CHATROOM_STRESS_SEED") or (FACTOR > 1 and random.randrange(1 << 32)))

Record = Callable[[str, str], None]

_lines: list[tuple[str, str, str]] = []


def scaled(number: float, *, most: float = float("inf")) -> int:
    """Return a number of the quick form, multiplied for the long form up to ``most``."""
    return int(max(number, min(number * FACTOR, most)))


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers that depend on the seed and the test only."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Return a function that adds a line to the table: what was done, and what was lost."""
    name = request.node.name

    def add(done: str, lost: str) -> None:
        _lines.append((name, done, lost))

    return add


def pytest_report_header() -> str:
    """Return the line by which a run can be repeated."""
    return f"reliability: CHATROOM_STRESS={FACTOR:g} CHATROOM_STRESS_SEED={SEED}"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table in the long form."""
    if _lines and FACTOR > 1:
        terminalreporter.section(f"reliability, CHATROOM_STRESS={FACTOR:g}, seed {SEED}")
        terminalreporter.write_line("| test | what was done | what was lost |")
        terminalreporter.write_line("| --- | --- | --- |")
        for line in _lines:
            terminalreporter.write_line(f"| {' | '.join(line)} |")


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start servers; each must end with status 0 and without a complaint in its log."""
    with ExitStack() as stack:

        def start(*command: str, fork: bool = True, **environment: str) -> Server:
            return stack.enter_context(running_server(*command, fork=fork, **environment))

        yield start
