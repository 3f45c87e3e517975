"""The guard against versions of Daphne and Twisted that are not as expected."""

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
    """Return what `install` replaces, as far as it is there."""
    return [
        vars(HTTPFactory).get("protocol"),
        vars(Server).get("handle_reply"),
        vars(Server).get("kill_all_applications"),
    ]


def take_away(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a name of the table disappear, as if another version did not have it."""
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
    """Look at Daphne as it is before the installation, whatever this process has done before."""
    monkeypatch.setattr(http, "_is_installed", lambda: False)


def test_installed_versions_are_as_expected() -> None:
    """The table names nothing that does not exist."""
    assert http.missing_names() == []


@pytest.mark.parametrize("name", http.FOREIGN_NAMES)
def test_without_a_name_nothing_is_changed(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning tells which name is missing, and HTTP works as Daphne does it."""
    take_away(name, monkeypatch)
    before = replaced()
    assert not http.install(LIMITS)
    assert replaced() == before
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert name in record.getMessage()


def test_without_daphne_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server has not imported it; there is no warning either."""
    monkeypatch.delitem(sys.modules, "daphne.server")
    assert not http.install(LIMITS)
