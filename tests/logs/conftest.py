"""Handlers on the root logger, for one test."""

import logging
from collections.abc import Iterator

import pytest

from tests.logs.support import Lines


@pytest.fixture
def json_lines() -> Iterator[Lines]:
    """All lines as JSON."""
    yield from _attached(Lines("json"))


@pytest.fixture
def console_lines() -> Iterator[Lines]:
    """All lines as text."""
    yield from _attached(Lines("console"))


def _attached(handler: Lines) -> Iterator[Lines]:
    root = logging.getLogger()
    root.addHandler(handler)
    yield handler
    root.removeHandler(handler)
