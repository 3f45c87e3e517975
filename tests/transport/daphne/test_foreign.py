"""The guard against upgrades: the table of foreign names, and what happens when one is missing.

`tests/live/test_foreign.py` takes each name of the WebSocket part away from a Daphne that runs.
"""

import asyncio
import logging
from typing import Any

import pytest

from pubsub.transport.daphne import foreign
from pubsub.transport.daphne.foreign import FACTORY, PROTOCOL, SERVER, TCP, TLS, WEBSOCKET
from tests.transport.daphne.support import running_daphne

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

STATIC = (
    foreign.HTTP,
    foreign.SIGNALS,
    foreign.COMPRESSION,
    foreign.DEBUG_MESSAGES,
    foreign.ACCESS_LOG,
)
"""The parts of the table that need no connection to be looked at."""

NAMES = [
    (table, place, name) for table in STATIC for place, names in table.items() for name in names
]


def take_away(place: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a name of the table disappear, as if another version did not have it."""
    found = foreign.find(place)
    if hasattr(found, "__code__"):
        _take_away_from_code(getattr(found, "__wrapped__", found), name, monkeypatch)
        return
    for of in getattr(found, "__mro__", [found]):
        if name in vars(of):
            monkeypatch.delattr(of, name)


def _take_away_from_code(function: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, gone = function.__code__, (name, name.encode())

    def without(names: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(f"{name}_gone" if known in gone else known for known in names)

    changed = code.replace(
        co_names=without(code.co_names),
        co_varnames=without(code.co_varnames),
        co_consts=without(code.co_consts),
    )
    monkeypatch.setattr(function, "__code__", changed)


def hide(patch: pytest.MonkeyPatch, of: type, missing: str) -> None:
    """Hide a name from everyone who looks at objects of a class, for as long as the patch lasts."""
    getattribute = of.__getattribute__

    def without(self: Any, name: str) -> Any:
        if name == missing:
            raise AttributeError(name)
        return getattribute(self, name)

    patch.setattr(of, "__getattribute__", without)


class Without:
    """An object that lacks one name."""

    def __init__(self, complete: Any, missing: str, **replaced: Any) -> None:
        self._complete = complete
        self._missing = missing
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        if name == self._missing:
            raise AttributeError(name)
        if name in self._replaced:
            return self._replaced[name]
        return getattr(self._complete, name)


@pytest.mark.parametrize("table", [WEBSOCKET, *STATIC])
def test_every_name_has_a_reason(table: foreign.Table) -> None:
    """The table says what each name is needed for."""
    for names in table.values():
        for name, reason in names.items():
            assert name == name.strip()
            assert len(reason) > 10, name


# --- The parts that need no connection ---


@pytest.mark.parametrize("table", STATIC)
def test_installed_versions_have_every_name(table: foreign.Table) -> None:
    """Nothing is named that does not exist."""
    assert foreign.missing(table) == []


@pytest.mark.parametrize(("table", "place", "name"), NAMES)
def test_name_that_is_missing_is_found_to_be(
    table: foreign.Table, place: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is an attribute, or a name in the code of a function."""
    take_away(place, name, monkeypatch)
    assert f"{place}.{name}" in foreign.missing(table)


@pytest.mark.parametrize("place", ["nowhere", "daphne.server:Nothing", "daphne.server:Server.no"])
def test_place_that_is_missing(place: str) -> None:
    """All of its names are missing, too."""
    assert foreign.missing({place: {"a": "", "b": ""}}) == [f"{place}.a", f"{place}.b"]


# --- The part that is looked at on each connection ---


@pytest.mark.parametrize("encrypted", [False, True])
async def test_installed_versions_are_as_the_table_says(
    encrypted: bool, tls: dict[str, Any]
) -> None:
    """Each name is where it is looked for, on a connection whose handshake is not completed."""
    async with running_daphne(**(tls if encrypted else {})) as server:
        await server.request()
        protocol = server.protocol
        tcp = protocol.transport
        assert foreign.is_tls(tcp) is encrypted
        objects = {PROTOCOL: protocol, FACTORY: protocol.factory, SERVER: protocol.server}
        objects |= {TLS: tcp, TCP: tcp.transport} if encrypted else {TCP: tcp}
        objects[foreign.REACTOR] = tcp.reactor
        for place, found in objects.items():
            assert isinstance(found, foreign.find(place))
            for name in WEBSOCKET[place]:
                assert hasattr(found, name), (place, name)
        assert WEBSOCKET.keys() - objects.keys() == (set() if encrypted else {TLS})
        foreign.check(protocol)


@pytest.mark.parametrize(
    ("place", "name"), [(place, name) for place in WEBSOCKET for name in WEBSOCKET[place]]
)
async def test_missing_name(
    place: str, name: str, tls: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named before anything is changed."""
    async with running_daphne(**(tls if place == TLS else {})) as server:
        await server.request()
        protocol = server.protocol
        foreign.check(protocol)
        with monkeypatch.context() as patch:
            if place == PROTOCOL:
                protocol = Without(protocol, name)
            elif place == TLS:
                protocol = Without(protocol, "", transport=Without(protocol.transport, name))
            else:
                hide(patch, foreign.find(place), name)
            with pytest.raises(foreign.NotAsExpected, match=f"^{place}.{name}$"):
                foreign.check(protocol)


async def test_missing_name_below_tls(tls: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The TCP transport below a TLS transport is looked at as well."""
    async with running_daphne(**tls) as server:
        await server.request()
        with monkeypatch.context() as patch:
            hide(patch, foreign.find(TCP), "dataBuffer")
            with pytest.raises(foreign.NotAsExpected, match="dataBuffer"):
                foreign.check(server.protocol)


async def test_other_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets are read by callbacks of the running loop, so Twisted's has to be the same."""
    async with running_daphne() as server:
        await server.request()
        other = asyncio.new_event_loop()
        with monkeypatch.context() as patch:
            patch.setattr(server.protocol.transport.reactor, "_asyncioEventloop", other)
            with pytest.raises(foreign.NotAsExpected, match="another event loop"):
                foreign.check(server.protocol)
        other.close()


@pytest.mark.parametrize("name", ["state", "STATE_CLOSED"])
async def test_no_telling_whether_the_client_has_left(name: str) -> None:
    """The names that this takes are read first."""
    async with running_daphne() as server:
        await server.request()
        with pytest.raises(foreign.NotAsExpected, match=name):
            foreign.is_lost(Without(server.protocol, name))


async def test_lost_connection_is_not_taken_for_an_upgrade() -> None:
    """Twisted's transport is half empty then."""
    async with running_daphne() as server:
        session = await server.request()
        pending = server.protocol
        assert not foreign.is_lost(pending)
        session.client.reset()
        await server.turn_until(lambda: foreign.is_lost(pending))
        with pytest.raises(foreign.NotAsExpected):
            foreign.check(pending)


def test_one_warning_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    """The number of connections does not matter."""
    for reason in ("this", "that", "this"):
        foreign.warn_once(reason)
    foreign.warn_once("this", "something else happens")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3
    assert "(this): memory for clients that do not read" in caplog.text
    assert "(that): memory for clients that do not read" in caplog.text
    assert "(this): something else happens" in caplog.text
