"""How connections are taken over from Daphne, and when they are not."""

import asyncio
import logging
from typing import Any

import pytest
from autobahn.websocket.compress import PerMessageDeflateOfferAccept
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from pubsub.transport.asgi import ASGITransport
from pubsub.transport.daphne import takeover
from pubsub.transport.daphne.server import SCOPE_KEY
from pubsub.transport.daphne.transport import DaphneTransport
from tests.transport.daphne.support import Session, running_daphne


async def converse(session: Session) -> None:
    """Show that messages go in both directions."""
    await session.client.send("question")
    await session.peer.until(lambda: session.peer.read == ["question"])
    session.write("answer")
    assert await session.client.receive_text() == "answer"


def wrapped(send: Any) -> Any:
    """Return ``send`` behind a function, as a middleware may put it."""

    async def forward(message: dict[str, Any]) -> None:
        await send(message)

    return forward


async def test_send_of_daphne_leads_to_its_protocol() -> None:
    """Nothing needs to be in the scope then."""
    async with running_daphne() as server:
        session = await server.connect()
        assert isinstance(session.transport, DaphneTransport)
        await converse(session)


async def test_reference_in_the_scope_leads_to_it_behind_a_middleware(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever `send` is by then."""
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
    """The portable transport serves such connections, with one warning for all of them."""
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
    """There is nothing to take over, and nothing to warn of."""

    async def send(message: dict[str, Any]) -> None:
        raise NotImplementedError

    assert takeover.prepare({}, send, compression=True) is None
    assert caplog.records == []


async def test_handshake_that_was_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """A client that leaves before it is accepted is served by nobody, without a warning."""
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
    """A middleware that waits behind `send` leaves time for that."""
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
    """The portable transport serves a connection whose frames are compressed."""
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
