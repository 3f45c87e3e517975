"""Daphne as a process: whether it is the server, what it is made to tell, and how it stops."""

import asyncio
import sys
import weakref
from collections.abc import Awaitable
from typing import Any

import pytest
from daphne.http_protocol import HTTPFactory
from daphne.server import Server

from pubsub.drain import Drain
from pubsub.transport import on_stop
from pubsub.transport.daphne import (
    HttpLimits,
    drain_on_signals,
    foreign,
    install,
    is_running,
    start_when_running,
)
from pubsub.transport.daphne.server import SCOPE_KEY, refer_to_protocols
from pubsub.transport.daphne.transport import DaphneTransport
from tests.transport.daphne.support import installed_reactor, run, running_daphne

LIMITS = HttpLimits(
    max_handshake_body=100, max_body=lambda path: 100, request_timeout=20.0, write_timeout=30.0
)


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
    drain_on_signals(Drain({}, 1.0))
    start_when_running(lambda: pytest.fail("the start was awaited"))
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


async def test_scope_of_a_request_refers_to_it() -> None:
    """The scope of a request refers to Daphne's request, which a stream takes over."""
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
        assert isinstance(scopes[0][SCOPE_KEY], weakref.ref)


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


# --- How it starts and stops ---


def test_start_of_the_event_loop(reactor: Any) -> None:
    """What is to be started with Daphne is called once, on its running event loop."""
    loops: list[asyncio.AbstractEventLoop] = []

    def start() -> None:
        loops.append(asyncio.get_running_loop())
        reactor.callLater(0, reactor.stop)

    start_when_running(start)
    run(reactor, lambda: None)
    assert loops == [reactor._asyncioEventloop]


def test_stop_waits_for_the_drain(reactor: Any) -> None:
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
