"""Daphne as a process: detecting it, extending its scope, and stopping it."""

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import daphne.server
import pytest
import twisted.internet
from twisted.internet.asyncioreactor import AsyncioSelectorReactor

from pubsub.transport import on_stop
from pubsub.transport.daphne import HttpLimits, before_stop, foreign, install, is_running
from pubsub.transport.daphne.server import SCOPE_KEY, refer_to_protocols
from pubsub.transport.daphne.transport import DaphneTransport
from tests.transport.daphne.support import installed_reactor, running_daphne

LIMITS = HttpLimits(
    max_body=1000, is_bounded=lambda path: True, request_timeout=20, write_timeout=30
)


@pytest.fixture
def fresh_daphne(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore Daphne's original `create_application` for the test."""
    server = daphne.server.Server
    original = getattr(server.create_application, "__wrapped__", server.create_application)
    monkeypatch.setattr(server, "create_application", original)


@pytest.fixture
def reactor(monkeypatch: pytest.MonkeyPatch) -> Iterator[AsyncioSelectorReactor]:
    """Return a reactor with its own loop, which runs and stops as in a Daphne process."""
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
    """Reset the handler of SIGHUP, and return a function that reads it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield lambda: signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)


def run(reactor: Any, when_running: Callable[[], None]) -> None:
    """Run the reactor until something stops it; the time limit only ends a failed test."""
    reactor.callWhenRunning(when_running)
    reactor.callLater(20, reactor.crash)
    reactor.run(installSignalHandlers=False)


# --- Detecting Daphne ---


async def test_daphne_is_running() -> None:
    """Daphne counts as the server while its reactor runs."""
    async with running_daphne():
        assert is_running()


async def test_daphne_is_only_imported() -> None:
    """Daphne does not count as the server if it is only imported as an app."""
    async with installed_reactor():
        assert not is_running()


def test_daphne_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Daphne nothing is installed or imported."""
    monkeypatch.delitem(sys.modules, "twisted.internet.reactor", raising=False)
    monkeypatch.delitem(sys.modules, "daphne.server")
    assert not is_running()
    refer_to_protocols.cache_clear()
    install(LIMITS)
    refer_to_protocols.cache_clear()
    on_stop(fail)
    assert "daphne.server" not in sys.modules


async def fail() -> None:
    """Fail the test."""
    pytest.fail("the drain was started")


# --- The scope ---


@pytest.mark.usefixtures("fresh_daphne")
async def test_scope_refers_to_the_protocol() -> None:
    """The scope holds a weak reference that finds the protocol when `send` is wrapped."""

    def wrapped(send: Any) -> Any:
        async def forward(message: dict[str, Any]) -> None:
            await send(message)

        return forward

    refer_to_protocols.__wrapped__()
    async with running_daphne() as server:
        server.wrap_send = wrapped
        session = await server.request()
        assert session.scope[SCOPE_KEY]() is server.protocol
        session.may_serve.set()
        await server.accept(session)
        assert isinstance(session.transport, DaphneTransport)


@pytest.mark.usefixtures("fresh_daphne")
async def test_scope_of_a_request_refers_to_nothing() -> None:
    """The scope of an HTTP request holds no reference."""
    refer_to_protocols.__wrapped__()
    scopes: list[dict[str, Any]] = []
    async with running_daphne() as server:

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


@pytest.mark.usefixtures("fresh_daphne")
async def test_refused_handshake_is_freed_without_the_garbage_collector() -> None:
    """The protocol of a refused handshake has no reference cycle, so it is freed at once."""
    refer_to_protocols.__wrapped__()
    references: list[Any] = []
    async with running_daphne() as server:

        async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
            references.append(scope[SCOPE_KEY])
            await receive()
            await send({"type": "websocket.close"})

        server.server.application = application
        gc.disable()
        try:
            client = await server.connect_socket(())
            client.protocol.send_request(client.protocol.connect())
            await client.answer()
            client.writer.transport.resume_reading()
            assert (await client.reader.readline()).startswith(b"HTTP/1.1 403")
            client.writer.close()
            await server.turn_until(lambda: foreign.is_lost(references[0]()))
            await asyncio.sleep(0)
            server.server.application_checker()
            await server.turn_until(lambda: references[0]() is None)
        finally:
            gc.enable()


# --- Stopping ---


def test_stop_waits_for_the_drain(reactor: Any, hangup: Callable[[], Any]) -> None:
    """A stop starts the drain at once and waits until it is finished."""
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


async def nothing() -> None:
    """Do nothing before the stop."""


def test_hangup_stops_the_server(reactor: Any, hangup: Callable[[], Any]) -> None:
    """SIGHUP stops the server as SIGTERM does."""
    order: list[str] = []

    def when_running() -> None:
        before_stop(nothing)
        reactor.addSystemEventTrigger("after", "shutdown", lambda: order.append("stopped"))
        assert callable(hangup())
        signal.raise_signal(signal.SIGHUP)

    run(reactor, when_running)
    assert order == ["stopped"]


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "handled"])
def test_hangup_with_an_existing_handler(
    reactor: Any, hangup: Callable[[], Any], handler: Any
) -> None:
    """An existing SIGHUP handler, such as that of `nohup`, is kept."""
    signal.signal(signal.SIGHUP, handler)
    before_stop(nothing)
    assert hangup() is handler


def test_server_in_another_thread_sets_no_signal_handler(
    reactor: Any, hangup: Callable[[], Any]
) -> None:
    """A server outside the main thread sets no signal handler."""
    thread = threading.Thread(target=before_stop, args=(nothing,))
    thread.start()
    thread.join()
    assert hangup() is signal.SIG_DFL
    assert reactor._eventTriggers["shutdown"].before
