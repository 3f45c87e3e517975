"""The guard against upgrades: the table of foreign names, and the check for missing ones.

`tests/live/test_foreign.py` hides each name in turn from a running Daphne.
"""

import logging
from typing import Any

import pytest

from pubsub.transport.daphne import foreign
from tests.transport.daphne.support import running_daphne

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

TABLES = (
    foreign.PROTOCOL,
    foreign.FACTORY,
    foreign.SERVER,
    foreign.TRANSPORT,
    foreign.BUFFER,
    foreign.DIRECT,
)


class Without:
    """An object that lacks one name, as after an upgrade."""

    def __init__(self, complete: Any, missing: str, **replaced: Any) -> None:
        self._complete = complete
        self._missing = missing
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        if name == self._missing:
            raise AttributeError(f"there is no {name}")
        if name in self._replaced:
            return self._replaced[name]
        return getattr(self._complete, name)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_installed_versions_match_the_table(encrypted: bool, tls: dict[str, Any]) -> None:
    """Each name in the table exists where the transport looks for it."""
    async with running_daphne(**(tls if encrypted else {})) as server:
        await server.request()
        protocol = server.protocol
        tcp = protocol.transport
        assert foreign.is_tls(tcp) is encrypted
        below = tcp.transport if encrypted else tcp
        places: list[tuple[Any, dict[str, str]]] = [
            (protocol, foreign.PROTOCOL),
            (protocol.factory, foreign.FACTORY),
            (protocol.server, foreign.SERVER),
            (below, foreign.TRANSPORT),
            (below, foreign.BUFFER),
            (below, foreign.DIRECT),
        ]
        for place, names in places:
            for name in names:
                assert hasattr(place, name), name
        foreign.check(protocol)


def test_every_name_has_a_reason() -> None:
    """The table states why each name is needed."""
    for table in TABLES:
        for name, reason in table.items():
            assert name == name.strip()
            assert len(reason) > 10, name


@pytest.mark.parametrize(
    ("place", "name"),
    [
        *(("protocol", name) for name in foreign.PROTOCOL),
        *(("factory", name) for name in foreign.FACTORY),
        *(("server", name) for name in foreign.SERVER),
    ],
)
async def test_missing_name(place: str, name: str) -> None:
    """The check reports a missing name of Daphne or Autobahn before anything is changed."""
    async with running_daphne() as server:
        await server.request()
        complete = server.protocol
        incomplete: Any
        if place == "protocol":
            incomplete = Without(complete, name)
        else:
            part = Without(getattr(complete, place), name)
            incomplete = Without(complete, "", **{place: part})
        with pytest.raises(foreign.NotAsExpected, match=f"^there is no {name}$"):
            foreign.check(incomplete)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_missing_name_of_twisted(
    encrypted: bool, tls: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check reports a missing name of Twisted, with and without TLS."""
    async with running_daphne(**(tls if encrypted else {})) as server:
        await server.request()
        tcp = server.protocol.transport
        below = tcp.transport if encrypted else tcp
        names = {*foreign.BUFFER, *(() if encrypted else (*foreign.TRANSPORT, *foreign.DIRECT))}
        for name in names:
            with monkeypatch.context() as patch:
                hide(patch, type(below), name)
                with pytest.raises(foreign.NotAsExpected, match=name):
                    foreign.check(server.protocol)
        foreign.check(server.protocol)


def hide(patch: pytest.MonkeyPatch, of: type, missing: str) -> None:
    """Hide a name of a class from everyone for as long as the patch lasts."""
    getattribute = of.__getattribute__

    def without(self: Any, name: str) -> Any:
        if name == missing:
            raise AttributeError(f"there is no {name}")
        return getattribute(self, name)

    patch.setattr(of, "__getattribute__", without)


async def test_lost_connection_is_not_taken_for_an_upgrade() -> None:
    """A lost connection, whose attributes are partly gone, is recognized as lost."""
    async with running_daphne() as server:
        session = await server.request()
        pending = server.protocol
        assert not foreign.is_lost(pending)
        session.client.reset()
        await server.turn_until(lambda: foreign.is_lost(pending))
        with pytest.raises(foreign.NotAsExpected):
            foreign.check(pending)


def test_one_warning_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    """Each reason is logged once, whatever the number of connections."""
    foreign.warn_once.cache_clear()
    for reason in ("this", "that", "this"):
        foreign.warn_once(reason)
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "(this)" in caplog.text
    assert "(that)" in caplog.text
    foreign.warn_once.cache_clear()
