"""What is installed in Daphne to bound HTTP, and the guard against versions that do not fit."""

import asyncio
import socket
import ssl
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import twisted.web.http
from daphne.http_protocol import HTTPFactory
from daphne.server import Server
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Port

from pubsub.transport.daphne import foreign, install
from pubsub.transport.daphne.http import (
    BACKLOG,
    KEEP_ALIVE_IDLE,
    KEEP_ALIVE_INTERVAL,
    KEEP_ALIVE_PROBES,
)
from tests.transport.daphne.http_support import LIMITS, get, running_site
from tests.transport.daphne.support import TIME_LIMIT, installed_reactor, running_daphne
from tests.transport.daphne.test_foreign import take_away

NAMES = [(place, name) for place, names in foreign.HTTP.items() for name in names]


def replaced() -> list[Any]:
    """Return what `install` replaces for HTTP, as far as it is there."""
    return [
        vars(HTTPFactory).get("protocol"),
        vars(HTTPFactory).get("acceptableProtocols"),
        vars(Server).get("handle_reply"),
        vars(Server).get("kill_all_applications"),
        vars(Server).get("application_checker"),
        vars(Server).get("timeout_checker"),
    ]


# --- The guard ---


@pytest.mark.parametrize(("place", "name"), NAMES)
def test_without_a_name_nothing_is_changed(
    place: str, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning tells which name is missing, and HTTP works as Daphne does it."""
    take_away(place, name, monkeypatch)
    before = replaced()
    for _ in range(2):
        install(LIMITS)
    assert replaced() == before
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert f"{place}.{name}" in record.getMessage()
    assert "HTTP requests and responses are not bounded" in record.getMessage()


def test_without_daphne_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another server has not imported it; there is no warning either."""
    before = replaced()
    monkeypatch.delitem(sys.modules, "daphne.server")
    install(LIMITS)
    assert replaced() == before
    assert caplog.records == []


def test_everything_is_replaced() -> None:
    """The other tests of the guard would see nothing otherwise."""
    before = replaced()
    install(LIMITS)
    assert all(new is not old for new, old in zip(replaced(), before, strict=True))


# --- The protocol ---


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
async def test_http2_is_not_offered(tls: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that prefers it speaks HTTP/1.1, whatever is installed beside Twisted."""
    monkeypatch.setattr(twisted.web.http, "H2_ENABLED", True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    async with running_site(**{**tls, "tls": context}) as site, site.connect() as connection:
        secure = connection.writer.get_extra_info("ssl_object")
        assert secure.selected_alpn_protocol() == "http/1.1"
        await connection.send(get("/"))
        assert await connection.read_response() == (200, b"0")


# --- The backlog ---


async def accepted_while_nobody_accepts(endpoint: str, **options: Any) -> int:
    """Return how many of 200 connections the kernel completes while Daphne does nothing."""
    async with running_site(endpoint=endpoint, **options) as site:
        clients = [socket.socket() for _ in range(200)]
        try:
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", site.server.host.port))
            return sum(is_connected(client) for client in clients)
        finally:
            for client in clients:
                client.close()


def is_connected(client: socket.socket) -> bool:
    """Tell whether the handshake of TCP is completed."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1


async def test_burst_of_connections() -> None:
    """All can wait to be accepted, where Twisted lets 50 wait."""
    assert BACKLOG > 200
    assert await accepted_while_nobody_accepts("tcp:0:interface=127.0.0.1") == 200


async def test_burst_of_connections_with_tls(tls: dict[str, Any]) -> None:
    """Twisted wraps Daphne's factory then."""
    assert await accepted_while_nobody_accepts(**tls) == 200


async def test_backlog_that_was_chosen() -> None:
    """Whoever gives Daphne a number gets it."""
    assert await accepted_while_nobody_accepts("tcp:0:interface=127.0.0.1:backlog=10") < 50


async def test_ports_of_others() -> None:
    """A port in the same reactor that is not Daphne's stays as it is."""
    async with installed_reactor() as reactor:
        port = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        assert isinstance(port, Port)
        install(LIMITS)
        reactor.startRunning(installSignalHandlers=False)
        clients = [socket.socket() for _ in range(200)]
        try:
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", port.getHost().port))
            assert sum(is_connected(client) for client in clients) < 200
        finally:
            for client in clients:
                client.close()


# --- The sockets ---


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
@pytest.mark.parametrize("encrypted", [False, True])
async def test_options_of_accepted_sockets(encrypted: bool, tls: dict[str, Any]) -> None:
    """The kernel probes silent connections, and small writes are not delayed."""
    async with running_site(**(tls if encrypted else {})) as site, site.connect():
        await site.until_read()
        (transport,) = site.transports
        accepted = getattr(transport, "transport", transport).socket
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for option, value in (
            (socket.TCP_KEEPIDLE, KEEP_ALIVE_IDLE),
            (socket.TCP_KEEPINTVL, KEEP_ALIVE_INTERVAL),
            (socket.TCP_KEEPCNT, KEEP_ALIVE_PROBES),
        ):
            assert accepted.getsockopt(socket.IPPROTO_TCP, option) == value
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_unix_socket(tmp_path: Path) -> None:
    """It has no options of TCP; everything else works, such as the time limits."""
    limits = replace(LIMITS, request_timeout=0.1)
    async with running_daphne(endpoint=f"unix:{tmp_path}/socket", limits=limits):
        reader, writer = await asyncio.open_unix_connection(f"{tmp_path}/socket")
        writer.write(get("/")[:10])
        async with asyncio.timeout(TIME_LIMIT):
            assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()
        await writer.wait_closed()
