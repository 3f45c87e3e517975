"""Taking connections over from Daphne, and the cases in which that is not possible."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import autobahn
import pytest
from autobahn.websocket import protocol
from autobahn.websocket.compress import PerMessageDeflateOfferAccept
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from pubsub.transport.asgi import ASGITransport
from pubsub.transport.daphne import foreign, handshake, takeover
from pubsub.transport.daphne.server import SCOPE_KEY
from pubsub.transport.daphne.transport import DaphneTransport
from tests.transport.daphne.support import Session, running_daphne


@pytest.fixture(autouse=True)
def empty_caches() -> Iterator[None]:
    """Reset the caches that last as long as a process."""
    foreign.warn_once.cache_clear()
    yield
    handshake.spare_debug_messages.cache_clear()


async def converse(session: Session) -> None:
    """Check that messages are delivered in both directions."""
    await session.client.send("question")
    await session.peer.until(lambda: session.peer.read == ["question"])
    session.write("answer")
    assert await session.client.receive_text() == "answer"


def wrapped(send: Any) -> Any:
    """Return ``send`` wrapped in a function, as a middleware may do."""

    async def forward(message: dict[str, Any]) -> None:
        await send(message)

    return forward


async def test_send_of_daphne_leads_to_its_protocol() -> None:
    """Daphne's own `send` leads to its protocol without any help from the scope."""
    async with running_daphne() as server:
        session = await server.connect()
        assert isinstance(session.transport, DaphneTransport)
        await converse(session)


async def test_reference_in_the_scope_leads_to_the_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reference in the scope leads to the protocol when a middleware wraps `send`."""
    async with running_daphne() as server:
        create = server.server.create_application

        def with_reference(protocol: Any, scope: dict[str, Any]) -> Any:
            return create(protocol, {**scope, SCOPE_KEY: lambda: protocol})

        monkeypatch.setattr(server.server, "create_application", with_reference)
        server.wrap_send = wrapped
        session = await server.connect()
        assert isinstance(session.transport, DaphneTransport)
        await converse(session)


async def test_wrapped_send_without_a_reference(caplog: pytest.LogCaptureFixture) -> None:
    """A wrapped `send` without a reference gets the portable transport and one warning."""
    async with running_daphne() as server:
        server.wrap_send = wrapped
        for _ in range(2):
            session = await server.connect()
            assert isinstance(session.transport, ASGITransport)
            await converse(session)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "send is wrapped by a middleware" in record.message


async def test_other_servers(caplog: pytest.LogCaptureFixture) -> None:
    """Under another server there is nothing to take over and nothing is logged."""

    async def send(message: dict[str, Any]) -> None:
        raise NotImplementedError

    assert takeover.prepare({}, send) is None
    assert caplog.records == []


async def test_client_that_leaves_before_it_is_accepted(caplog: pytest.LogCaptureFixture) -> None:
    """A client that leaves before it is accepted is lost without a warning."""
    async with running_daphne() as server:
        session = await server.request()
        pending = server.protocol
        session.client.reset()
        await server.turn_until(lambda: pending.state == pending.STATE_CLOSED)
        session.may_accept.set()
        session.may_serve.set()
        await session.ended.wait()
        assert isinstance(session.transport, ASGITransport)
        assert session.peer.lost == 1
        assert caplog.records == []


async def test_client_that_leaves_while_it_is_accepted() -> None:
    """A client may leave while a middleware still waits after accepting it."""
    async with running_daphne() as server:
        left = asyncio.Event()

        def slow(send: Any) -> Any:
            async def send_and_wait(message: dict[str, Any]) -> None:
                await send(message)
                await left.wait()

            return send_and_wait

        server.wrap_send = slow
        session = await server.request()
        pending = server.protocol
        session.scope[SCOPE_KEY] = lambda: pending
        session.may_accept.set()
        session.may_serve.set()
        assert await session.client.receive() is not None
        session.client.reset()
        await server.turn_until(lambda: pending.state == pending.STATE_CLOSED)
        left.set()
        await session.ended.wait()
        assert isinstance(session.transport, ASGITransport)
        assert session.peer.lost == 1


async def test_compression(caplog: pytest.LogCaptureFixture) -> None:
    """A connection with compression is served by the portable transport."""
    async with running_daphne() as server:
        server.server.ws_factory.setProtocolOptions(
            perMessageCompressionAccept=lambda offers: PerMessageDeflateOfferAccept(offers[0])
        )
        session = await server.request(extensions=[ClientPerMessageDeflateFactory()])
        session.may_serve.set()
        await server.accept(session)
        assert isinstance(session.transport, ASGITransport)
        await converse(session)
        assert "compression is on" in caplog.text


def formatted(*args: Any, **kwargs: Any) -> str:
    """Return a fixed text in place of a formatted debug message."""
    return "formatted"


@pytest.mark.parametrize("verbosity", [1, 2])
async def test_debug_messages_of_autobahn(verbosity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debug messages are formatted only if Daphne's verbosity is high enough to log them."""
    for name, functions in handshake.FORMATTERS.items():
        for function in functions:
            monkeypatch.setattr(f"{name}.{function}", formatted)
    handshake.spare_debug_messages.cache_clear()
    async with running_daphne(verbosity=verbosity) as server:
        await converse(await server.connect())
        assert (protocol.pformat is formatted) is (verbosity > 1)
        await converse(await server.connect())


def test_version_of_autobahn_without_these_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of Autobahn without the formatting functions is left as it is."""
    monkeypatch.setattr(handshake, "FORMATTERS", {"autobahn": ("missing",), "missing": ("a",)})
    handshake.spare_debug_messages.cache_clear()
    handshake.spare_debug_messages()
    assert not hasattr(autobahn, "missing")
