"""Compression on real sockets: the handshake on Daphne, and frames that connections share."""

import asyncio
import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from pubsub.core.counters import TopicCounters
from pubsub.core.publication import Frame
from pubsub.transport.daphne import compression, foreign
from pubsub.transport.daphne.compression import DeflateTransport, serialize
from pubsub.transport.daphne.transport import DaphneTransport
from pubsub.transport.daphne.transport import serialize as serialize_plain
from pubsub.websocket.deflate import MIN_BYTES, deflate
from pubsub.websocket.frames import compressed_text_frame, text_frame
from tests.transport.daphne.support import Daphne, Session, running_daphne
from tests.websocket.streams import FINAL, TEXT, WireFrame
from tests.websocket.test_deflate import WINDOW_ANSWER

# Twisted itself uses an API that pyOpenSSL has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

ON = {"compression": True}

OFFER = (ClientPerMessageDeflateFactory(),)

TOPIC = TopicCounters("t")

LONG = b'{"symbol":"AAPL","price":99.50}' * 50


@pytest.fixture(autouse=True)
def names_are_looked_for_again() -> Iterator[None]:
    """Forget which foreign names are missing, before and after each test."""
    for cached in (compression._missing_names, foreign.warn_once):
        cached.cache_clear()
    yield
    compression._missing_names.cache_clear()


def event(payload: bytes) -> Frame:
    """Return the frame of an event."""
    return Frame(payload, TOPIC)


def publish(session: Session, *texts: str) -> None:
    """Write events to the client."""
    session.transport.write([event(text.encode()) for text in texts])


async def connect(server: Daphne, *, offer: Any = OFFER) -> Session:
    """Open a WebSocket that offers compression."""
    session = await server.request(extensions=offer)
    session.may_serve.set()
    await server.accept(session)
    return session


def extensions(session: Session) -> list[str]:
    """Return the extensions that the client takes for agreed."""
    return [each.name for each in session.client.protocol.extensions]


# --- The handshake ---


@pytest.mark.parametrize("encrypted", [False, True])
async def test_offer_is_accepted(encrypted: bool, tls: dict[str, Any]) -> None:
    """Messages go in both directions, compressed where they are long, with and without TLS."""
    async with running_daphne(config=ON, **(tls if encrypted else {})) as server:
        session = await connect(server)
        assert isinstance(session.transport, DeflateTransport)
        assert extensions(session) == ["permessage-deflate"]
        message = WireFrame(FINAL | TEXT | 0x40, deflate(b"question"))
        await session.client.send_bytes(bytes(message))
        await session.peer.until(lambda: session.peer.read == ["question"])
        publish(session, "short")
        publish(session, LONG.decode(), "last")
        answers = [await session.client.receive_text() for _ in range(3)]
        assert answers == ["short", LONG.decode(), "last"]
        assert session.transport.traffic.sent < len(LONG) / 2


@pytest.mark.parametrize(
    ("config", "offer"),
    [
        ({}, OFFER),
        (ON, ()),
        (ON, (ClientPerMessageDeflateFactory(server_max_window_bits=9),)),
    ],
    ids=["off", "no offer", "declined"],
)
async def test_plain_connection(config: dict[str, Any], offer: Any) -> None:
    """Without an agreement, the connection is the same as ever."""
    async with running_daphne(config=config) as server:
        session = await connect(server, offer=offer)
        assert type(session.transport) is DaphneTransport
        assert extensions(session) == []
        publish(session, LONG.decode())
        assert await session.client.receive_text() == LONG.decode()
        assert session.transport.traffic.sent == len(text_frame(LONG))


async def test_answer_is_a_header_of_the_response() -> None:
    """It is sent once, as it was negotiated."""
    async with running_daphne(config=ON) as server:
        offer = ClientPerMessageDeflateFactory(server_max_window_bits=15)
        session = await server.request(extensions=(offer,))
        session.may_accept.set()
        response = await session.client.receive()
        assert response.headers.get_all("Sec-WebSocket-Extensions") == [WINDOW_ANSWER]


async def test_client_without_any_extension() -> None:
    """Nothing is changed for it."""
    async with running_daphne(config=ON) as server:
        await server.request()
        before = vars(server.protocol).copy()
        assert not compression.negotiate(server.protocol, [(b"host", b"localhost")])
        assert vars(server.protocol) == before


async def test_invalid_offer_does_not_fail_the_handshake() -> None:
    """Autobahn, which would reject the client, does not see it (RFC 7692 §7)."""
    async with running_daphne(config=ON) as server:
        session = await server.request(extensions=OFFER)
        assert not compression.negotiate(
            server.protocol, [(b"sec-websocket-extensions", b"permessage-deflate; unknown")]
        )
        assert server.protocol.websocket_extensions == []
        session.client.reset()


@pytest.mark.parametrize(
    ("place", "name"),
    [(place, name) for place, names in foreign.COMPRESSION.items() for name in names],
)
async def test_missing_name(
    place: str, name: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are not compressed then, and one warning for all of them says why."""
    monkeypatch.setattr(foreign, "missing", lambda table: [f"{place}.{name}"])
    async with running_daphne(config=ON) as server:
        for _ in range(2):
            session = await connect(server)
            assert type(session.transport) is DaphneTransport
            assert extensions(session) == []
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"({place}.{name}): connections are not compressed" in record.message


# --- Writing ---


def test_frame_is_compressed_once() -> None:
    """All compressed connections share one form, and all others the plain one."""
    frame = event(LONG)
    data = serialize([frame])
    assert data == compressed_text_frame(deflate(LONG))
    assert serialize([frame, frame]) == data * 2
    assert frame.compressed == data
    assert serialize_plain([frame]) == text_frame(LONG)
    assert (frame.payload, frame.text) == (LONG, LONG.decode())


def test_frame_that_was_sent_uncompressed_before() -> None:
    """It is compressed from the form that was kept."""
    frame = event(LONG)
    serialize_plain([frame])
    assert serialize([frame]) == compressed_text_frame(deflate(LONG))


@pytest.mark.parametrize(
    "payload",
    [b"x" * (MIN_BYTES - 1), b"short", random.Random(1).randbytes(4000)],
    ids=["just too short", "short", "incompressible"],
)
def test_frame_that_is_not_worth_it(payload: bytes) -> None:
    """It keeps one form for all connections."""
    frame = event(payload)
    assert serialize([frame]) == text_frame(payload)
    assert serialize_plain([frame]) is frame.compressed


def test_reply_is_not_compressed() -> None:
    """It is for one client, which could ask for any number of them."""
    assert serialize([Frame(LONG)]) == text_frame(LONG)


def test_shortest_frame_that_is_compressed() -> None:
    """It has 1 KiB."""
    assert len(serialize([event(b"x" * MIN_BYTES)])) < 50


def test_serialized_frames_are_shared() -> None:
    """A batch that many subscribers receive in turn is joined once, beside the plain one."""
    batch = [event(b"a"), event(LONG)]
    data, plain = serialize(batch), serialize_plain(batch)
    assert serialize(list(batch)) is data
    assert serialize_plain(list(batch)) is plain
    assert serialize(batch[:1]) == b"\x81\x01a"
    assert serialize(batch) == data


async def test_full_socket_and_room_again() -> None:
    """Frames of both kinds arrive whole and in order, however often the socket is full."""
    async with running_daphne(config=ON) as server:
        session = await connect(server)
        transport = session.transport
        await session.peer.until(lambda: transport.writable)
        incompressible = random.Random(1).randbytes(20_000).hex()
        texts = []
        while transport.writable:
            texts.append(f"{len(texts)} {incompressible if len(texts) % 2 else 'short'}")
            publish(session, texts[-1])
        assert transport.backlog
        assert [await session.client.receive_text() for _ in texts] == texts
        await session.peer.until(lambda: transport.writable)


# --- Reading ---


async def test_inflated_bytes_are_charged() -> None:
    """The peer sees what a compressed message cost, after the message itself."""
    async with running_daphne(config=ON) as server:
        session = await server.request(extensions=OFFER)
        await server.accept(session)
        transport = session.transport
        received = transport.traffic.received
        message = bytes(WireFrame(FINAL | TEXT | 0x40, deflate(bytes(4000))))
        await session.client.send_bytes(message)
        await server.turn_until(lambda: transport.traffic.received == received + len(message))
        assert transport.next_message() == "\0" * 4000
        assert transport.next_message().cost == 1000
        assert transport.next_message() is None


async def test_bomb() -> None:
    """It is refused with 1009 when it reaches the limit for messages."""
    async with running_daphne(config=ON) as server:
        session = await connect(server)
        await session.client.send_bytes(
            bytes(WireFrame(FINAL | TEXT | 0x40, deflate(bytes(5_000_000))))
        )
        closed = await session.client.receive_close()
        assert closed == (1009, "message exceeds 1048576 bytes")
        await session.client.answer()
        session.client.writer.close()
        await asyncio.wait_for(session.ended.wait(), 20)
        assert session.peer.read == []


async def test_compressed_message_that_was_not_negotiated() -> None:
    """It violates the protocol."""
    async with running_daphne(config=ON) as server:
        session = await connect(server, offer=())
        await session.client.send_bytes(bytes(WireFrame(FINAL | TEXT | 0x40, deflate(b"x"))))
        assert await session.client.receive_close() == (1002, "protocol error")
