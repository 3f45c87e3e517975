"""The guard against versions of Daphne and Twisted that lack an expected name."""

import importlib
import sys
from typing import Any

import pytest
from daphne.http_protocol import HTTPFactory
from daphne.server import Server

from pubsub.transport.daphne import http
from pubsub.transport.daphne.http_limits import HttpLimits

LIMITS = HttpLimits(
    max_body=100, is_bounded=lambda path: True, request_timeout=20.0, write_timeout=30.0
)


def replaced() -> list[Any]:
    """Return everything that `install` replaces, as far as it exists."""
    return [
        vars(HTTPFactory).get("protocol"),
        vars(Server).get("handle_reply"),
        vars(Server).get("kill_all_applications"),
    ]


def hide(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide a name in the table, as if another version did not have it."""
    path, _, mentioned = name.partition("->")
    module, _, attributes = path.partition(":")
    *owners, attribute = attributes.split(".")
    owner: Any = importlib.import_module(module)
    for outer in owners:
        owner = getattr(owner, outer)
    if not mentioned:
        for place in getattr(owner, "__mro__", [owner]):
            if attribute in vars(place):
                monkeypatch.delattr(place, attribute)
        return
    function = getattr(owner, attribute)
    function = getattr(function, "__wrapped__", function)
    code, gone = function.__code__, (mentioned, mentioned.encode())

    def without(names: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(f"{mentioned}_gone" if known in gone else known for known in names)

    changed = code.replace(
        co_names=without(code.co_names),
        co_varnames=without(code.co_varnames),
        co_consts=without(code.co_consts),
    )
    monkeypatch.setattr(function, "__code__", changed)


@pytest.fixture(autouse=True)
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `install` behave as if it had not been called in this process."""
    monkeypatch.setattr(http, "_is_installed", lambda: False)


def test_installed_versions_are_as_expected() -> None:
    """Every name in the table exists in the installed versions."""
    assert http.missing_names() == []


@pytest.mark.parametrize("name", http.FOREIGN_NAMES)
def test_missing_name(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing name is logged in one warning, and Daphne's HTTP is left unchanged."""
    hide(name, monkeypatch)
    before = replaced()
    assert not http.install(LIMITS)
    assert replaced() == before
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert name in record.getMessage()


def test_other_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under another server nothing is installed or logged."""
    monkeypatch.delitem(sys.modules, "daphne.server")
    assert not http.install(LIMITS)
