"""The transport for Daphne, on real sockets."""

import asyncio
import logging
import socket
import weakref
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Opcode

from pubsub.core.publication import Frame
from pubsub.protocol.codes import Close
from pubsub.transport.daphne import transport as module
from pubsub.transport.daphne.transport import DaphneTransport, serialize
from pubsub.websocket.engine import TooLarge
from tests.transport.daphne.support import Session, running_daphne
from tests.websocket.support import masked

# Twisted itself uses what pyOpenSSL has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

CLOSE_1000 = masked(b"\x03\xe8", Opcode.CLOSE)


async def assert_ended(session: Session) -> None:
    """Wait until the socket is closed; check that the peer was notified once."""
    await asyncio.wait_for(session.ended.wait(), 20)
    assert session.peer.lost == 1
    assert not session.transport.writable
    await session.transport.wait_closed()


# --- Reading ---


@pytest.mark.parametrize("encrypted", [False, True])
async def test_messages_in_both_directions(encrypted: bool, tls: dict[str, Any]) -> None:
    """Each message arrives as it was sent, in order."""
    async with running_daphne(**(tls if encrypted else {})) as server:
        session = await server.connect()
        assert isinstance(session.transport, DaphneTransport)
        await session.client.send("a")
        await session.client.send(b"b", Opcode.BINARY)
        await session.peer.until(lambda: session.peer.read == ["a", b"b"])
        session.write("c", "d")
        session.write("e")
        assert [await session.client.receive_text() for _ in range(3)] == ["c", "d", "e"]


async def test_messages_that_came_before_the_end_of_the_handshake() -> None:
    """They are not lost, and Autobahn does not parse them."""
    async with running_daphne() as server:
        session = await server.request()
        session.may_serve.set()
        second = masked("b")
        await session.client.send_bytes(masked("a") + second[:3])
        await server.turn_until(lambda: server.protocol.data)
        await server.accept(session)
        await session.client.send_bytes(second[3:])
        await session.peer.until(lambda: session.peer.read == ["a", "b"])


async def test_messages_before_the_transport_is_served() -> None:
    """They wait for the peer."""
    async with running_daphne() as server:
        session = await server.connect(serve=False)
        other = await server.connect()
        await session.client.send("a")
        await other.client.send("b")
        await other.peer.until(lambda: other.peer.read)
        session.may_serve.set()
        await session.peer.until(lambda: session.peer.read == ["a"])


async def test_message_over_the_limit() -> None:
    """Its beginning and its end reach the peer, and the next message does."""
    async with running_daphne(config={"max_message_bytes": 1000}) as server:
        session = await server.connect()
        await session.client.send(b"x" * 10_000, Opcode.BINARY)
        await session.client.send("next")
        await session.peer.until(lambda: len(session.peer.read) == 2)
        assert session.peer.read == [TooLarge(False, 10_000, b"x" * 1000, b"x" * 1024), "next"]


async def test_input_that_is_no_message() -> None:
    """Pongs and fragments are passed on as such, so that they can be charged."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.client.send_bytes(masked(b"", Opcode.PONG) + masked("a", fin=False))
        await session.peer.until(lambda: session.peer.others == 2)
        await session.client.send_bytes(masked("b", Opcode.CONT))
        await session.peer.until(lambda: session.peer.read == ["ab"])


async def test_reading_can_be_paused() -> None:
    """What a paused client sends is read when it is resumed."""
    async with running_daphne() as server:
        session, other = await server.connect(), await server.connect()
        session.transport.pause_reading()
        assert not session.transport.listening
        await session.client.send("a")
        for _ in range(3):
            await other.client.send("b")
            await other.peer.until(lambda: other.peer.read.pop(0) if other.peer.read else False)
        assert session.peer.read == []
        session.transport.resume_reading()
        assert session.transport.listening
        await session.peer.until(lambda: session.peer.read == ["a"])


async def test_bug_in_reading_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the client is closed with 1011."""
    async with running_daphne() as server:
        session = await server.connect()
        session.peer.error = ZeroDivisionError("a bug")
        await session.client.send("a")
        assert await session.client.receive_close() == (1011, "internal error")
        assert "Failed to read" in caplog.text


# --- Pings ---


async def test_ping_is_answered_behind_the_replies_before_it() -> None:
    """The peer is asked to write them first."""
    async with running_daphne() as server:
        session = await server.connect()
        session.peer.on_writable = lambda: session.write("reply")
        await session.client.send(b"payload", Opcode.PING)
        assert await session.client.receive_text() == "reply"
        pong = await session.client.receive()
        assert (pong.opcode, pong.data) == (Opcode.PONG, b"payload")


async def test_pings_of_a_client_that_does_not_read_are_not_answered() -> None:
    """Their answers would pile up."""
    async with running_daphne() as server:
        session = await server.connect()
        count = session.fill()
        await session.client.send_bytes(masked(b"x" * 125, Opcode.PING) * 10 + masked("a"))
        await session.peer.until(lambda: session.peer.read)
        frames = [await session.client.receive() for _ in range(count)]
        assert {frame.opcode for frame in frames} == {Opcode.TEXT}
        await session.peer.until(lambda: session.transport.writable)
        session.write("last")
        assert await session.client.receive_text() == "last"


async def test_silent_client_is_pinged_and_then_disconnected() -> None:
    """It is closed with 3012 when it does not answer."""
    async with running_daphne(config={"ping_interval": 0.05}) as server:
        session = await server.connect()
        ping = await session.client.receive()
        assert (ping.opcode, ping.data) == (Opcode.PING, b"")
        assert await session.client.receive_close() == (3012, "no pong")
        await session.client.answer()
        await assert_ended(session)


async def test_client_that_answers_pings_stays() -> None:
    """Each answer is a sign of life."""
    async with running_daphne(config={"ping_interval": 0.05}) as server:
        session = await server.connect()
        for _ in range(5):
            assert (await session.client.receive()).opcode is Opcode.PING
            await session.client.answer()
        assert session.peer.lost == 0


# --- Writing ---


def test_serialized_frames_are_shared() -> None:
    """All subscribers of a topic get the same frames in turn, which are serialized once."""
    batch = [Frame(b"a"), Frame(b"b" * 200)]
    data = serialize(batch)
    assert data == b"\x81\x01a\x81\x7e\x00\xc8" + b"b" * 200
    assert serialize(list(batch)) is data
    assert serialize(batch[:1]) == b"\x81\x01a"
    assert serialize(batch) == data


async def test_full_socket_and_room_again() -> None:
    """Everything arrives in order, and the peer is notified when the socket has drained."""
    async with running_daphne() as server:
        session = await server.connect()
        transport, peer = session.transport, session.peer
        await peer.until(lambda: transport.writable)
        before = peer.writable
        count = session.fill()
        assert (transport.blocked, transport.listening) == (True, False)
        waiting = transport.unread
        assert waiting > transport.backlog > 0
        texts = [await session.client.receive_text() for _ in range(count)]
        assert [int(text[:6]) for text in texts] == list(range(count))
        await peer.until(lambda: peer.writable > before)
        assert (transport.writable, transport.blocked) == (True, False)
        assert (transport.backlog, transport.unread < waiting) == (0, True)


async def test_handshake_that_has_left_already() -> None:
    """The transport is writable at once if nothing waits in Twisted's buffers."""
    async with running_daphne() as server:
        left = asyncio.Event()

        def slowly(send: Any) -> Any:
            async def send_and_wait(message: dict[str, Any]) -> None:
                await send(message)
                await left.wait()

            return send_and_wait

        server.wrap_send = slowly
        session = await server.request()
        session.scope["pubsub.daphne"] = weakref.ref(server.protocol)
        session.may_accept.set()
        session.may_serve.set()
        assert await session.client.receive() is not None
        left.set()
        await session.accepted.wait()
        assert isinstance(session.transport, DaphneTransport)
        assert session.transport.writable
        session.write("a")
        assert await session.client.receive_text() == "a"


async def test_socket_that_breaks_while_it_is_written_to() -> None:
    """Twisted finds the error, and the connection is lost."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.peer.until(lambda: session.transport.writable)
        session.transport._tcp.socket.shutdown(socket.SHUT_WR)
        session.write("a")
        assert not session.transport.writable
        await assert_ended(session)


async def test_socket_that_breaks_while_it_is_closed() -> None:
    """It is the same with a close frame."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.peer.until(lambda: session.transport.writable)
        session.transport._tcp.socket.shutdown(socket.SHUT_WR)
        session.transport.close(Close.SHUTDOWN)
        await assert_ended(session)


async def test_tls_has_flow_control_too(tls: dict[str, Any]) -> None:
    """Twisted says when its buffer is full, and when it has drained."""
    async with running_daphne(**tls) as server:
        session = await server.connect()
        count = session.fill()
        assert session.transport.blocked
        assert session.transport.unread > 0
        texts = [await session.client.receive_text() for _ in range(count)]
        assert [int(text[:6]) for text in texts] == list(range(count))
        await session.peer.until(lambda: session.transport.writable)


async def test_bytes_that_the_kernel_does_not_tell() -> None:
    """A socket that was closed holds nothing."""
    async with running_daphne() as server:
        session = await server.connect()
        session.fill()
        transport = session.transport
        assert transport.unread > transport.backlog
        closed = socket.socket()
        closed.close()
        tcp = transport._tcp
        kept, tcp.socket = tcp.socket, closed
        assert transport.unread == transport.backlog
        tcp.socket = kept


# --- The write timeout ---


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time that clients have at the end."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.1)
    monkeypatch.setattr(module, "FLUSH_TIMEOUT", 0.1)


async def test_stuck_client_is_disconnected() -> None:
    """It leaves at once, and finds 3008 when it reads on."""
    async with running_daphne(config={"write_timeout": 0.1}) as server:
        session = await server.connect()
        session.fill()
        await session.peer.until(lambda: session.peer.lost)
        assert session.transport.close_code == 3008
        assert await session.client.receive_close() == (3008, "slow")
        await session.client.answer()
        await assert_ended(session)


@pytest.mark.usefixtures("impatient")
async def test_stuck_client_that_never_reads_is_cut_off() -> None:
    """Its socket is closed with what it has not read."""
    async with running_daphne(config={"write_timeout": 0.1}) as server:
        session = await server.connect()
        session.fill()
        await assert_ended(session)
        assert session.transport.close_code == 3008


@pytest.mark.usefixtures("impatient")
async def test_client_that_does_not_answer_the_close_frame() -> None:
    """Its socket is closed all the same."""
    async with running_daphne(config={"write_timeout": 0.1}) as server:
        session = await server.connect()
        session.transport.close(Close.SHUTDOWN)
        assert await session.client.receive_close() == (3001, "shutdown")
        await assert_ended(session)


@pytest.mark.usefixtures("impatient")
async def test_stuck_client_that_closes_is_cut_off() -> None:
    """It has a shorter time to read the answer than a client that the server closes."""
    async with running_daphne(config={"write_timeout": 4}) as server:
        session = await server.connect()
        session.fill()
        await session.client.send_bytes(CLOSE_1000)
        await assert_ended(session)
        assert session.transport.close_code == 1000


# --- The end, from here ---


@pytest.mark.parametrize("encrypted", [False, True])
async def test_closing_handshake(encrypted: bool, tls: dict[str, Any]) -> None:
    """The close frame follows what was written, and its answer ends the connection."""
    async with running_daphne(**(tls if encrypted else {})) as server:
        session = await server.connect()
        session.write("last")
        session.transport.close(Close.SHUTDOWN)
        assert (session.peer.lost, session.transport.writable) == (1, False)
        await session.client.send("ignored")
        assert await session.client.receive_text() == "last"
        assert await session.client.receive_close() == (3001, "shutdown")
        await session.client.answer()
        assert await session.client.receive() is None
        await assert_ended(session)
        assert session.transport.close_code == 3001
        assert session.peer.read == []


async def test_what_waits_in_the_peer_is_written_before_the_close_frame() -> None:
    """The peer is asked to write it."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.peer.until(lambda: session.transport.writable)
        session.peer.on_writable = lambda: session.write("last")
        session.transport.close(Close.SHUTDOWN)
        assert await session.client.receive_text() == "last"
        assert await session.client.receive_close() == (3001, "shutdown")


async def test_closing_behind_what_the_client_has_not_read() -> None:
    """Nothing is lost, and the transport stays closed when the socket has drained."""
    async with running_daphne() as server:
        session = await server.connect()
        count = session.fill()
        session.transport.close(Close.SHUTDOWN)
        for number in range(count):
            assert int((await session.client.receive_text())[:6]) == number
        assert await session.client.receive_close() == (3001, "shutdown")
        assert not session.transport.writable
        await session.client.answer()
        await assert_ended(session)


async def test_closing_a_client_that_is_not_read() -> None:
    """Its answer is read again."""
    async with running_daphne() as server:
        session = await server.connect()
        session.transport.pause_reading()
        await session.client.send("unread")
        session.transport.close(Close.SHUTDOWN)
        assert await session.client.receive_close() == (3001, "shutdown")
        await session.client.answer()
        await assert_ended(session)
        assert session.peer.read == []


async def test_closing_twice_does_nothing_more() -> None:
    """The first reason counts, and the other calls have no effect any more."""
    async with running_daphne() as server:
        session = await server.connect()
        session.transport.close(Close.SHUTDOWN)
        session.transport.close(Close.SLOW)
        session.transport.pause_reading()
        session.transport.resume_reading()
        assert await session.client.receive_close() == (3001, "shutdown")
        await session.client.answer()
        await assert_ended(session)
        assert session.transport.close_code == 3001


async def test_fault_instead_of_the_answer_to_the_close_frame() -> None:
    """It ends the connection as well."""
    async with running_daphne() as server:
        session = await server.connect()
        session.transport.close(Close.SHUTDOWN)
        await session.client.send_bytes(b"\x83\x80" + bytes(4))
        await assert_ended(session)


# --- The end, from there ---


@pytest.mark.parametrize(
    ("data", "code"),
    [(masked(b"\x0f\xa0bye", Opcode.CLOSE), 4000), (masked(b"", Opcode.CLOSE), 1005)],
    ids=["with a code", "without a code"],
)
async def test_client_closes(data: bytes, code: int) -> None:
    """Its close frame is answered, and its code is kept."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.client.send_bytes(masked("a") + data)
        assert await session.client.receive_close() == (1000, "")
        assert await session.client.receive() is None
        await assert_ended(session)
        assert session.transport.close_code == code
        assert session.peer.read == ["a"]


async def test_client_closes_that_does_not_read() -> None:
    """It leaves at once, and the answer follows what it has not read."""
    async with running_daphne() as server:
        session = await server.connect()
        count = session.fill()
        await session.client.send_bytes(CLOSE_1000)
        await session.peer.until(lambda: session.peer.lost)
        for number in range(count):
            assert int((await session.client.receive_text())[:6]) == number
        assert await session.client.receive_close() == (1000, "")
        await assert_ended(session)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x83\x80" + bytes(4), 1002),
        (masked(b"\xff"), 1007),
        (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + bytes(4), 1009),
    ],
    ids=["protocol", "UTF-8", "size"],
)
async def test_client_breaks_a_rule(
    data: bytes, code: int, encrypted: bool, tls: dict[str, Any]
) -> None:
    """It is closed with the code for that, whatever it sends afterwards."""
    async with running_daphne(**(tls if encrypted else {})) as server:
        session = await server.connect()
        await session.client.send_bytes(data + masked("ignored"))
        closed = await session.client.receive_close()
        assert closed is not None
        assert closed[0] == code
        session.client.writer.close()
        await assert_ended(session)
        assert session.transport.close_code == code
        assert session.peer.read == []


@pytest.mark.parametrize("maximum", [{"websocket_max_message_size": 500}, {}])
async def test_limits_of_daphne(maximum: dict[str, int]) -> None:
    """The smaller of Daphne's two limits applies; 0 is none."""
    options = {"websocket_max_message_size": 0, "websocket_max_frame_size": 600, **maximum}
    limit = 500 if maximum else 600
    async with running_daphne(**options) as server:
        session = await server.connect()
        await session.client.send("x" * limit)
        await session.client.send("x" * (limit + 1))
        assert await session.client.receive_close() == (1009, f"message exceeds {limit} bytes")
        assert session.peer.read == ["x" * limit]


async def test_without_limits_of_daphne() -> None:
    """The limit for messages alone bounds what is kept."""
    options = {"websocket_max_message_size": 0, "websocket_max_frame_size": 0}
    async with running_daphne(config={"max_message_bytes": 10}, **options) as server:
        session = await server.connect()
        await session.client.send(b"x" * 2_000_000, Opcode.BINARY)
        await session.peer.until(lambda: session.peer.read)
        assert session.peer.read[0].size == 2_000_000


@pytest.mark.parametrize("end", ["reset", "end of stream"])
async def test_lost_connection(end: str) -> None:
    """The peer is notified, and everyone who waits is."""
    async with running_daphne() as server:
        session = await server.connect()
        gives_up = asyncio.create_task(session.transport.wait_closed())
        await asyncio.sleep(0)
        gives_up.cancel()
        if end == "reset":
            session.client.reset()
        else:
            session.client.writer.close()
        await assert_ended(session)
        assert session.transport.close_code == 1006
        assert "closed" in repr(session.transport)


async def test_connection_that_is_lost_before_it_is_served() -> None:
    """Serving it returns at once, and nothing refers to it any more."""
    async with running_daphne(config={"ping_interval": 0.01}) as server:
        session = await server.connect(serve=False)
        session.client.reset()
        await asyncio.wait_for(session.transport.wait_closed(), 20)
        session.may_serve.set()
        await asyncio.wait_for(session.ended.wait(), 20)
        assert session.transport not in server.timeouts.pings._transports
        assert session.transport._peer is None


# --- Daphne's side ---


async def test_books_of_daphne() -> None:
    """The transport takes the protocol's place in them, and leaves them as any protocol does."""
    async with running_daphne() as server:
        session = await server.connect()
        books = server.server.connections
        assert session.transport in books
        assert not any(hasattr(each, "STATE_OPEN") for each in books)
        assert server.server.ws_factory.countConnections == 0
        session.client.reset()
        await assert_ended(session)
        await asyncio.sleep(0)
        server.server.application_checker()
        assert session.transport not in books


@pytest.mark.parametrize("seconds", [0, -1])
async def test_daphnes_limit_for_the_age_of_a_connection(seconds: int) -> None:
    """It is enforced with the code 1000; a negative one is none."""
    async with running_daphne(websocket_timeout=seconds) as server:
        session = await server.connect()
        server.server.connections[session.transport]["connected"] -= 1
        server.server.timeout_checker()
        session.transport.close(Close.SHUTDOWN)
        expected = (1000, "") if seconds == 0 else (3001, "shutdown")
        assert await session.client.receive_close() == expected


async def test_failure_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    """Daphne logs it, and the client is closed with 1011."""
    async with running_daphne() as server:
        session = await server.connect(serve=False)
        session.failure = ZeroDivisionError("a bug")
        session.may_serve.set()
        await session.ended.wait()
        await asyncio.sleep(0)
        server.server.application_checker()
        assert await session.client.receive_close() == (1011, "internal error")
        assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_access_log() -> None:
    """It has the beginning and the end of each connection, with the client's address."""
    lines: list[tuple[str, str, dict[str, Any]]] = []
    async with running_daphne(action_logger=lambda *line: lines.append(line)) as server:
        session = await server.connect()
        session.client.reset()
        await assert_ended(session)
        host, port = session.scope["client"]
        assert [line[1] for line in lines] == ["connecting", "connected", "disconnected"]
        assert lines[-1] == (
            "websocket",
            "disconnected",
            {"path": "/ws", "client": f"{host}:{port}"},
        )


async def test_access_log_of_a_unix_socket(tmp_path: Path) -> None:
    """Its clients have no address."""
    lines: list[tuple[str, str, dict[str, Any]]] = []
    async with running_daphne(
        endpoint=f"unix:{tmp_path}/socket", action_logger=lambda *line: lines.append(line)
    ) as server:
        session = await server.connect()
        assert isinstance(session.transport, DaphneTransport)
        session.write("a")
        assert await session.client.receive_text() == "a"
        session.client.writer.close()
        await assert_ended(session)
        assert lines[-1][2] == {"path": "/ws", "client": None}
