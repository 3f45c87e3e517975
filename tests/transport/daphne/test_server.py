"""Daphne as a process: whether it is the server, what it is made to tell, and how it stops."""

import asyncio
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import twisted.internet
from daphne.http_protocol import HTTPFactory
from daphne.server import Server
from twisted.internet.asyncioreactor import AsyncioSelectorReactor

from pubsub.transport import on_stop
from pubsub.transport.daphne import HttpLimits, foreign, install, is_running
from pubsub.transport.daphne.server import SCOPE_KEY, refer_to_protocols, stop_on_hangup
from pubsub.transport.daphne.transport import DaphneTransport
from tests.transport.daphne.support import installed_reactor, running_daphne

LIMITS = HttpLimits(
    max_body=100, is_bounded=lambda path: True, request_timeout=20.0, write_timeout=30.0
)


@pytest.fixture
def reactor(monkeypatch: pytest.MonkeyPatch) -> Iterator[AsyncioSelectorReactor]:
    """A reactor with a loop of its own, which runs and stops as in a process of Daphne's."""
    loop = asyncio.new_event_loop()
    reactor = AsyncioSelectorReactor(loop)
    monkeypatch.setattr(twisted.internet, "reactor", reactor)
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)
    yield reactor
    for reader in [*reactor.removeAll(), *reactor._internalReaders]:
        reader.connectionLost(None)
    loop.close()


@pytest.fixture
def hangup() -> Iterator[Callable[[], Any]]:
    """What SIGHUP does, at first the default."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield lambda: signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)


def run(reactor: Any, when_running: Callable[[], None]) -> None:
    """Run the reactor until something stops it; after some time it is the test that failed."""
    reactor.callWhenRunning(when_running)
    reactor.callLater(20, reactor.crash)
    reactor.run(installSignalHandlers=False)


# --- Whether it is the server ---


async def test_daphne_is_running() -> None:
    """Its reactor runs."""
    async with running_daphne():
        assert is_running()


async def test_daphne_is_imported_only() -> None:
    """Another server may run the application, in a project that has Daphne among its apps."""
    async with installed_reactor():
        assert not is_running()


def test_daphne_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed, and nothing is imported for it."""
    monkeypatch.delitem(sys.modules, "twisted.internet.reactor", raising=False)
    monkeypatch.delitem(sys.modules, "daphne.server")
    assert not is_running()
    install(LIMITS)
    on_stop(fail)
    assert "daphne.server" not in sys.modules


async def fail() -> None:
    """Fail."""
    pytest.fail("the drain was started")


# --- What it is made to tell ---


async def test_scope_refers_to_the_protocol() -> None:
    """A transport finds it, whatever stands before `send`, and keeps nothing of it alive."""

    def wrapped(send: Any) -> Any:
        async def forward(message: dict[str, Any]) -> None:
            await send(message)

        return forward

    async with running_daphne(limits=LIMITS) as server:
        server.wrap_send = wrapped
        session = await server.request()
        assert session.scope[SCOPE_KEY]() is server.protocol
        session.may_serve.set()
        await server.accept(session)
        assert isinstance(session.transport, DaphneTransport)


async def test_scope_of_a_request_refers_to_nothing() -> None:
    """Only WebSockets are taken over."""
    scopes: list[dict[str, Any]] = []
    async with running_daphne(limits=LIMITS) as server:

        async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
            scopes.append(scope)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        server.server.application = application
        client = await server.connect_socket(())
        await client.send_bytes(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        client.writer.transport.resume_reading()
        assert (await client.reader.readline()).startswith(b"HTTP/1.1 204")
        client.writer.close()
        await client.writer.wait_closed()
        assert scopes[0]["type"] == "http"
        assert SCOPE_KEY not in scopes[0]


def test_second_installation_changes_nothing() -> None:
    """A project may make more than one application."""
    install(LIMITS)
    before = Server.create_application, Server.handle_reply, HTTPFactory.protocol
    install(LIMITS)
    assert before == (Server.create_application, Server.handle_reply, HTTPFactory.protocol)


def test_daphne_without_the_function_that_makes_applications(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is wrapped; the table has the name, so every connection is warned of."""
    monkeypatch.delattr(Server, "create_application")
    refer_to_protocols()
    assert not hasattr(Server, "create_application")
    assert "create_application" in foreign.WEBSOCKET[foreign.SERVER]


# --- How it stops ---


def test_stop_waits_for_the_drain(reactor: Any, hangup: Callable[[], Any]) -> None:
    """The drain is started at once, and the reactor runs until it is done."""
    order: list[str] = []

    def start_drain() -> Awaitable[None]:
        order.append("started")
        return drain()

    async def drain() -> None:
        await asyncio.sleep(0)
        order.append("drained")

    def when_running() -> None:
        on_stop(start_drain)
        reactor.addSystemEventTrigger("after", "shutdown", lambda: order.append("stopped"))
        reactor.stop()

    run(reactor, when_running)
    assert order == ["started", "drained", "stopped"]


def test_hangup_stops_the_server(reactor: Any, hangup: Callable[[], Any]) -> None:
    """SIGHUP does what SIGTERM does, from the start on, whether or not there are clients."""
    order: list[str] = []

    def when_running() -> None:
        reactor.addSystemEventTrigger("after", "shutdown", lambda: order.append("stopped"))
        signal.raise_signal(signal.SIGHUP)

    install(LIMITS)
    assert hangup() is signal.SIG_DFL
    run(reactor, when_running)
    assert order == ["stopped"]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "handled"])
def test_hangup_that_somebody_else_deals_with(
    reactor: Any, hangup: Callable[[], Any], handler: Any
) -> None:
    """Their handler stays, as that of `nohup` does."""
    signal.signal(signal.SIGHUP, handler)
    stop_on_hangup()
    run(reactor, reactor.stop)
    assert hangup() is handler


def test_server_in_another_thread_leaves_signals_alone(
    reactor: Any, hangup: Callable[[], Any]
) -> None:
    """Python would refuse to set a handler there."""
    stop_on_hangup()
    thread = threading.Thread(target=run, args=(reactor, reactor.stop))
    thread.start()
    thread.join()
    assert hangup() is signal.SIG_DFL


async def test_hangup_of_another_server(hangup: Callable[[], Any]) -> None:
    """It is left to that server, although Daphne is imported."""
    async with installed_reactor():
        stop_on_hangup()
        assert hangup() is signal.SIG_DFL
