"""The Daphne transport on real sockets."""

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

# Twisted itself uses an API that pyOpenSSL has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

CLOSE_1000 = masked(b"\x03\xe8", Opcode.CLOSE)


async def assert_ended(session: Session) -> None:
    """Wait until the socket is closed, and check that the peer was notified once."""
    await asyncio.wait_for(session.ended.wait(), 20)
    assert session.peer.lost == 1
    assert not session.transport.writable
    await session.transport.wait_closed()


# --- Reading ---


@pytest.mark.parametrize("encrypted", [False, True])
async def test_messages_in_both_directions(encrypted: bool, tls: dict[str, Any]) -> None:
    """Messages arrive in order and unchanged in both directions, with and without TLS."""
    async with running_daphne(**(tls if encrypted else {})) as server:
        session = await server.connect()
        assert isinstance(session.transport, DaphneTransport)
        await session.client.send("a")
        await session.client.send(b"b", Opcode.BINARY)
        await session.peer.until(lambda: session.peer.read == ["a", b"b"])
        session.write("c", "d")
        session.write("e")
        assert [await session.client.receive_text() for _ in range(3)] == ["c", "d", "e"]


async def test_messages_before_the_end_of_the_handshake() -> None:
    """Messages sent before the handshake is complete are not lost, even in pieces."""
    async with running_daphne() as server:
        session = await server.request()
        session.may_serve.set()
        second = masked("b")
        await session.client.send_bytes(masked("a") + second[:3])
        await server.turn_until(lambda: server.protocol.data)
        await server.accept(session)
        await session.client.send_bytes(second[3:])
        await session.peer.until(lambda: session.peer.read == ["a", "b"])


@pytest.mark.parametrize("encrypted", [False, True])
async def test_bytes_are_counted(encrypted: bool, tls: dict[str, Any]) -> None:
    """The bytes of all frames count, with those that came together with the handshake."""
    async with running_daphne(**(tls if encrypted else {})) as server:
        session = await server.request()
        session.may_serve.set()
        await session.client.send_bytes(masked("early"))
        await server.turn_until(lambda: server.protocol.data)
        await server.accept(session)
        await session.client.send_bytes(masked("later") + masked(b"", Opcode.PING))
        await session.peer.until(lambda: session.peer.others)
        session.write("a", "bc")
        assert session.transport.traffic.received == len(masked("early") * 2 + masked(b""))
        assert session.transport.traffic.sent == 2 + 3 + 4


async def test_messages_before_the_transport_is_served() -> None:
    """Messages that arrive before the transport is served wait for the peer."""
    async with running_daphne() as server:
        session = await server.connect(serve=False)
        other = await server.connect()
        await session.client.send("a")
        await other.client.send("b")
        await other.peer.until(lambda: other.peer.read)
        session.may_serve.set()
        await session.peer.until(lambda: session.peer.read == ["a"])


async def test_message_over_the_limit() -> None:
    """Only the beginning and the end of a message over the limit reach the peer."""
    async with running_daphne(config={"max_message_bytes": 1000}) as server:
        session = await server.connect()
        await session.client.send(b"x" * 10_000, Opcode.BINARY)
        await session.client.send("next")
        await session.peer.until(lambda: len(session.peer.read) == 2)
        assert session.peer.read == [TooLarge(False, 10_000, b"x" * 1000, b"x" * 1024), "next"]


async def test_input_that_is_no_message() -> None:
    """Pongs and fragments are reported to the peer so that they can be charged."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.client.send_bytes(masked(b"", Opcode.PONG) + masked("a", fin=False))
        await session.peer.until(lambda: session.peer.others == 2)
        await session.client.send_bytes(masked("b", Opcode.CONT))
        await session.peer.until(lambda: session.peer.read == ["ab"])


@pytest.mark.parametrize("encrypted", [False, True])
async def test_reading_can_be_paused(encrypted: bool, tls: dict[str, Any]) -> None:
    """Messages of a paused client are read when reading resumes, with and without TLS."""
    async with running_daphne(**(tls if encrypted else {})) as server:
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


async def test_socket_that_is_not_readable_after_all() -> None:
    """The kernel may report a socket as readable although there is nothing to read."""
    async with running_daphne() as server:
        session = await server.connect()
        session.transport._read()
        await session.client.send("a")
        await session.peer.until(lambda: session.peer.read == ["a"])


async def test_bug_in_reading_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """An exception while reading is logged, and the client is closed with 1011."""
    async with running_daphne() as server:
        session = await server.connect()
        session.peer.error = ZeroDivisionError("a bug")
        await session.client.send("a")
        assert await session.client.receive_close() == (1011, "internal error")
        assert "Failed to read" in caplog.text


# --- Pings ---


async def test_ping_is_answered_after_earlier_replies() -> None:
    """The pong follows the replies to earlier messages, which the peer writes first."""
    async with running_daphne() as server:
        session = await server.connect()
        session.peer.on_writable = lambda: session.write("reply")
        await session.client.send(b"payload", Opcode.PING)
        assert await session.client.receive_text() == "reply"
        pong = await session.client.receive()
        assert (pong.opcode, pong.data) == (Opcode.PONG, b"payload")


async def test_pings_of_a_client_that_does_not_read_are_not_answered() -> None:
    """Pings from a client that does not read are not answered; the pongs would pile up."""
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
    """A silent client that does not answer a ping is closed with 3012."""
    async with running_daphne(config={"ping_interval": 0.05}) as server:
        session = await server.connect()
        ping = await session.client.receive()
        assert (ping.opcode, ping.data) == (Opcode.PING, b"")
        assert await session.client.receive_close() == (3012, "no pong")
        await session.client.answer()
        await assert_ended(session)


async def test_client_that_answers_pings_stays() -> None:
    """A client that answers each ping stays connected."""
    async with running_daphne(config={"ping_interval": 0.05}) as server:
        session = await server.connect()
        for _ in range(5):
            assert (await session.client.receive()).opcode is Opcode.PING
            await session.client.answer()
        assert session.peer.lost == 0


# --- Writing ---


def test_serialized_frames_are_shared() -> None:
    """A batch that many subscribers receive in turn is serialized once."""
    batch = [Frame(b"a"), Frame(b"b" * 200)]
    data = serialize(batch)
    assert data == b"\x81\x01a\x81\x7e\x00\xc8" + b"b" * 200
    assert serialize(list(batch)) is data
    assert serialize(batch[:1]) == b"\x81\x01a"
    assert serialize(batch) == data


async def test_frame_that_was_written_to_another_client() -> None:
    """All subscribers get the same bytes."""
    async with running_daphne() as server:
        sessions = [await server.connect() for _ in range(2)]
        frame = Frame(b"shared")
        for session in sessions:
            session.transport.write([frame])
        assert [await session.client.receive_text() for session in sessions] == ["shared"] * 2
        assert (frame.wire, frame.payload) == (b"\x81\x06shared", b"shared")


async def test_full_socket_and_room_again() -> None:
    """Every frame arrives in order, and the peer is notified when the socket has drained."""
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


async def test_handshake_that_has_already_been_sent() -> None:
    """The transport is writable at once if Twisted has already sent the handshake."""
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
    """A socket error during a write is handled by Twisted and loses the connection."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.peer.until(lambda: session.transport.writable)
        session.transport._tcp.socket.shutdown(socket.SHUT_WR)
        session.write("a")
        assert not session.transport.writable
        await assert_ended(session)


async def test_socket_that_breaks_while_it_is_closed() -> None:
    """A socket error while the close frame is written loses the connection."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.peer.until(lambda: session.transport.writable)
        session.transport._tcp.socket.shutdown(socket.SHUT_WR)
        session.transport.close(Close.SHUTDOWN)
        await assert_ended(session)


async def test_tls_has_flow_control_too(tls: dict[str, Any]) -> None:
    """With TLS, Twisted reports when its buffer is full and when it has drained."""
    async with running_daphne(**tls) as server:
        session = await server.connect()
        count = session.fill()
        assert session.transport.blocked
        assert session.transport.unread > 0
        texts = [await session.client.receive_text() for _ in range(count)]
        assert [int(text[:6]) for text in texts] == list(range(count))
        await session.peer.until(lambda: session.transport.writable)


async def test_unread_bytes_without_the_figure_of_the_kernel() -> None:
    """Only Twisted's backlog counts as unread if the kernel cannot be asked."""
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
    """Shorten the time that clients have for the closing handshake."""
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.1)
    monkeypatch.setattr(module, "FLUSH_TIMEOUT", 0.1)


async def test_stuck_client_is_disconnected() -> None:
    """A stuck client leaves at once and finds 3008 when it reads again."""
    async with running_daphne(config={"write_timeout": 0.1}) as server:
        session = await server.connect()
        session.fill()
        await session.peer.until(lambda: session.peer.lost)
        assert session.transport.close_code == 3008
        assert await session.client.receive_close() == (3008, "slow")
        await session.client.answer()
        await assert_ended(session)


async def test_buffer_that_is_filled_again_as_soon_as_it_is_empty() -> None:
    """An overloaded client that has emptied the buffer has read, so its time limit starts again."""
    async with running_daphne() as server:
        server.timeouts.writes._interval = 1000  # no look sees what the client reads
        session = await server.connect()
        session.fill()
        watched = server.timeouts.writes._watched
        _, since = watched[session.transport]
        session.peer.on_writable = session.fill
        async with asyncio.timeout(20):
            while watched[session.transport][1] == since:
                await session.client.receive_text()
        assert session.transport.blocked


@pytest.mark.usefixtures("impatient")
async def test_stuck_client_that_never_reads_is_cut_off() -> None:
    """The socket of a client that never reads is closed with its data unsent."""
    async with running_daphne(config={"write_timeout": 0.1}) as server:
        session = await server.connect()
        session.fill()
        await assert_ended(session)
        assert session.transport.close_code == 3008


@pytest.mark.usefixtures("impatient")
async def test_client_that_does_not_answer_the_close_frame() -> None:
    """The socket is closed even if the client does not answer the close frame."""
    async with running_daphne(config={"write_timeout": 0.1}) as server:
        session = await server.connect()
        session.transport.close(Close.SHUTDOWN)
        assert await session.client.receive_close() == (3001, "shutdown")
        await assert_ended(session)


@pytest.mark.usefixtures("impatient")
async def test_stuck_client_that_closes_is_cut_off() -> None:
    """A stuck client that closes is cut off sooner than one that the server closes."""
    async with running_daphne(config={"write_timeout": 4}) as server:
        session = await server.connect()
        session.fill()
        await session.client.send_bytes(CLOSE_1000)
        await assert_ended(session)
        assert session.transport.close_code == 1000


# --- Closed by the server ---


@pytest.mark.parametrize("encrypted", [False, True])
async def test_closing_handshake(encrypted: bool, tls: dict[str, Any]) -> None:
    """The close frame follows everything written, and its answer ends the connection."""
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


async def test_pending_frames_of_the_peer_precede_the_close_frame() -> None:
    """The peer may write its pending frames before the close frame."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.peer.until(lambda: session.transport.writable)
        session.peer.on_writable = lambda: session.write("last")
        session.transport.close(Close.SHUTDOWN)
        assert await session.client.receive_text() == "last"
        assert await session.client.receive_close() == (3001, "shutdown")


async def test_close_frame_follows_unread_frames() -> None:
    """The close frame follows all unread frames, and the transport stays closed."""
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


async def test_closing_a_paused_client() -> None:
    """Closing resumes reading on a paused client, so that its answer is received."""
    async with running_daphne() as server:
        session = await server.connect()
        session.transport.pause_reading()
        await session.client.send("unread")
        session.transport.close(Close.SHUTDOWN)
        assert await session.client.receive_close() == (3001, "shutdown")
        await session.client.answer()
        await assert_ended(session)
        assert session.peer.read == []


async def test_closing_twice() -> None:
    """Only the first reason counts, and later calls have no effect."""
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
    """An invalid frame instead of the close frame's answer ends the connection too."""
    async with running_daphne() as server:
        session = await server.connect()
        session.transport.close(Close.SHUTDOWN)
        await session.client.send_bytes(b"\x83\x80" + bytes(4))
        await assert_ended(session)


# --- Closed or lost by the client ---


@pytest.mark.parametrize(
    ("data", "code"),
    [(masked(b"\x0f\xa0bye", Opcode.CLOSE), 4000), (masked(b"", Opcode.CLOSE), 1005)],
    ids=["with a code", "without a code"],
)
async def test_client_closes(data: bytes, code: int) -> None:
    """The client's close frame is answered, and its code is kept."""
    async with running_daphne() as server:
        session = await server.connect()
        await session.client.send_bytes(masked("a") + data)
        assert await session.client.receive_close() == (1000, "")
        assert await session.client.receive() is None
        await assert_ended(session)
        assert session.transport.close_code == code
        assert session.peer.read == ["a"]


async def test_client_that_does_not_read_closes() -> None:
    """A client that closes leaves at once; the answer follows its unread frames."""
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
    """A protocol error is answered with its close code, and later input is ignored."""
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
    """The smaller of Daphne's two size limits applies, where 0 means no limit."""
    options = {"websocket_max_message_size": 0, "websocket_max_frame_size": 600, **maximum}
    limit = 500 if maximum else 600
    async with running_daphne(**options) as server:
        session = await server.connect()
        await session.client.send("x" * limit)
        await session.client.send("x" * (limit + 1))
        assert await session.client.receive_close() == (1009, f"message exceeds {limit} bytes")
        assert session.peer.read == ["x" * limit]


async def test_without_limits_of_daphne() -> None:
    """Without Daphne's limits a message of any size is read and reported as too large."""
    options = {"websocket_max_message_size": 0, "websocket_max_frame_size": 0}
    async with running_daphne(config={"max_message_bytes": 10}, **options) as server:
        session = await server.connect()
        await session.client.send(b"x" * 2_000_000, Opcode.BINARY)
        await session.peer.until(lambda: session.peer.read)
        assert session.peer.read[0].size == 2_000_000


@pytest.mark.parametrize("end", ["reset", "end of stream"])
async def test_lost_connection(end: str) -> None:
    """A lost connection notifies the peer and ends every `wait_closed`."""
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
    """Serving a lost connection returns at once and leaves no reference to it."""
    async with running_daphne(config={"ping_interval": 0.01}) as server:
        session = await server.connect(serve=False)
        session.client.reset()
        await asyncio.wait_for(session.transport.wait_closed(), 20)
        session.may_serve.set()
        await asyncio.wait_for(session.ended.wait(), 20)
        assert session.transport not in server.timeouts.pings._transports
        assert session.transport._peer is None


# --- Integration with Daphne ---


async def test_records_of_daphne() -> None:
    """The transport replaces the protocol in Daphne's records and is removed at the end."""
    async with running_daphne() as server:
        session = await server.connect()
        connections = server.server.connections
        assert session.transport in connections
        assert not any(hasattr(each, "STATE_OPEN") for each in connections)
        assert server.server.ws_factory.countConnections == 0
        session.client.reset()
        await assert_ended(session)
        await asyncio.sleep(0)
        server.server.application_checker()
        assert session.transport not in connections


@pytest.mark.parametrize("seconds", [0, -1])
async def test_maximum_age_of_a_connection(seconds: int) -> None:
    """Daphne's maximum age is enforced with code 1000; a negative value means no limit."""
    async with running_daphne(websocket_timeout=seconds) as server:
        session = await server.connect()
        server.server.connections[session.transport]["connected"] -= 1
        server.server.timeout_checker()
        session.transport.close(Close.SHUTDOWN)
        expected = (1000, "") if seconds == 0 else (3001, "shutdown")
        assert await session.client.receive_close() == expected


async def test_failure_of_the_application(caplog: pytest.LogCaptureFixture) -> None:
    """Daphne logs a failure of the application, and the client is closed with 1011."""
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
    """The access log records the start and the end of each connection with its address."""
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
    """On a Unix socket the access log has no client address."""
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
