"""The benchmark's clients that lose their connections: what they say, count and measure."""

import json
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.checkout import NAME
from bench.load.dialects import DIALECTS, KEPT_TOPIC
from bench.load.fleet import Subscriber, Tally
from bench.load.loop import Loop
from bench.load.sessions import LAST_N, ChatRoomSession, SocketIOSession
from bench.load.websocket import MASK
from bench.peers import CHAT_ROOM_ENVIRONMENT, PEERS
from bench.results import Results, Sample
from bench.runner import Cores, Runner
from bench.scenarios import SCENARIOS, Scenario
from tests.live.server import Server

PROJECT = Path(__file__).parents[1]
BY_NAME = {peer.name: peer for peer in PEERS}
EVENT = '{{"type":"event","message":{{"id":"i","payload":{{"text":"{:08}"}}}},"offset":{}}}'


def unmasked(frame: bytes) -> Any:
    """Return what a client's text frame says, which is empty for no frame."""
    if not frame:
        return None
    masked = frame[frame.index(MASK) + len(MASK) :]
    text = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(masked)).decode()
    return json.loads(text) if text.startswith("{") else text


def ack(**fields: Any) -> bytes:
    """Return an acknowledgement of the chat room's."""
    return json.dumps({"type": "ack", "request_id": "@", "status": "ok", **fields}).encode()


@pytest.fixture
def session() -> ChatRoomSession:
    """A subscriber that the server has told epoch ``e``, offset 5 and client id ``c``."""
    session = ChatRoomSession(b"", "orders", recovers=True)
    session.start()
    session.take(ack(epoch="e", offset=5, client_id="c"))
    return session


def recover(session: ChatRoomSession) -> Any:
    """Let a session begin again; return what it asks to recover."""
    return unmasked(session.start()).get("recover")


def test_first_subscription_asks_for_nothing() -> None:
    """Without a position there is nothing to recover, and nothing is replayed."""
    command = unmasked(ChatRoomSession(b"", "orders", recovers=True).start())
    assert command == {"type": "subscribe", "topic": "orders", "request_id": "@"}


def test_session_recovers_from_its_acknowledgement(session: ChatRoomSession) -> None:
    """Without an event since, the position is that of the subscription."""
    command = unmasked(session.start())
    assert command["recover"] == {"epoch": "e", "offset": 5, "client_id": "c"}
    assert command["last_n"] == LAST_N


def test_session_recovers_from_its_last_event(session: ChatRoomSession) -> None:
    """The newest event is the position, also when a payload looks like one."""
    session.last_event = b'{"message":{"payload":{"text":"","offset":9}},"offset":7,"user":"u"}'
    assert recover(session)["offset"] == 7


def test_replay_counts_only_when_it_has_arrived(session: ChatRoomSession) -> None:
    """A client that is lost before the replay asks for the same messages again."""
    session.start()
    session.take(ack(epoch="e", offset=57, client_id="d", recovered=True, replayed=52))
    assert session.recovered is True
    assert recover(session) == {"epoch": "e", "offset": 5, "client_id": "d"}


def test_old_position_is_kept_until_an_event_of_a_new_epoch(session: ChatRoomSession) -> None:
    """A client that is lost right after it was told of a gap is told of it again."""
    session.last_event = EVENT.format(0, 7).encode()
    session.start()
    session.take(ack(epoch="f", offset=2, client_id="d", recovered=False))
    assert recover(session) == {"epoch": "e", "offset": 7, "client_id": "d"}


def test_events_of_another_epoch_are_a_new_position(session: ChatRoomSession) -> None:
    """After a restart the position is one of the new epoch, as soon as an event has arrived."""
    session.start()
    session.take(ack(epoch="f", offset=2, client_id="d", recovered=False))
    assert session.recovered is False
    session.last_event = EVENT.format(0, 3).encode()
    assert recover(session) == {"epoch": "f", "offset": 3, "client_id": "d"}


@pytest.mark.parametrize(
    ("recovers", "position"), [(False, {"epoch": "e", "offset": 5, "client_id": "c"}), (True, {})]
)
def test_session_without_position_or_recovery_subscribes_again(
    recovers: bool, position: dict[str, Any]
) -> None:
    """Neither a client that does not recover nor one of another server asks for anything."""
    session = ChatRoomSession(b"", "orders", recovers=recovers)
    session.start()
    session.take(ack(**position))
    session.last_event = b'{"type":"event","topic":"orders"}'
    assert recover(session) is None


def test_server_may_ask_to_come_back_later(session: ChatRoomSession) -> None:
    """The time is taken from the message, in seconds."""
    session.take(b'{"type":"info","msg":"shutdown","reconnect_in_ms":1730,"ts":"t"}')
    assert session.reconnect_in == 1.73


def test_refused_command_ends_the_measurement(session: ChatRoomSession) -> None:
    """A dropped event is a figure, and any other error a fault of the benchmark."""
    error = '{{"type":"error","error":{{"code":"{}","message":"m"}}}}'
    assert session.take(error.format("SLOW_CONSUMER").encode()) == b""
    with pytest.raises(ValueError, match="BAD_REQUEST"):
        session.take(error.format("BAD_REQUEST").encode())


def test_socket_io_recovers_its_session() -> None:
    """A client with a private id and an offset sends both, and compares the id that it gets."""
    session = SocketIOSession(b"", b"subscription")
    assert session.start() == b""
    assert unmasked(session.take(b'0{"sid":"s"}')) == "40"
    assert session.take(b'40{"sid":"s","pid":"p"}') == b"subscription"
    assert not session.ready
    session.take(b"431[{}]")
    assert (session.ready, session.recovered) == (True, None)
    session.last_event = b'42["event",{"type":"event"},"o"]'
    session.start()
    assert unmasked(session.take(b'0{"sid":"s"}')) == '40{"pid": "p", "offset": "o"}'
    session.take(b'40{"sid":"s","pid":"p"}')
    assert session.recovered
    session.start()
    session.take(b'40{"sid":"s","pid":"q"}')
    assert session.recovered is False


def server_frame(text: str) -> bytes:
    """Return an unmasked text frame."""
    size = len(text)
    return (bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")) + (
        text.encode()
    )


@pytest.mark.parametrize("piece", [1, 1 << 16])
def test_events_are_counted_however_they_arrive(piece: int) -> None:
    """A message is recognised by its number, once, wherever the stream is cut."""
    events = [server_frame(EVENT.format(number, number)) for number in (0, 2, 1, 2)]
    answer = b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + server_frame(ack().decode())
    stream = answer + b"".join(events)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for start in range(0, len(stream), piece):
                    connection.send(stream[start : start + piece])
                with suppress(ConnectionResetError):
                    while connection.recv(4096):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        loop, tally = Loop(listener.getsockname()[1]), Tally()
        session = DIALECTS["chatroom"].session(KEPT_TOPIC)
        subscriber = Subscriber(loop, session, random.Random(1), tally, messages=3)
        subscriber.connect()
        while tally.received + tally.duplicates < len(events):
            loop.turn()
        subscriber.drop()
        thread.join()
    assert (tally.opened, tally.received) == (1, 3)
    assert (tally.duplicates, tally.out_of_order) == (1, 1)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A chat room with the settings of the benchmark."""
    server = Server(**CHAT_ROOM_ENVIRONMENT)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize(
    ("dialect", "loses"), [("chatroom", False), ("chatroom-no-recovery", True)]
)
def test_jitter_tells_what_was_lost(server: Server, dialect: str, loses: bool) -> None:
    """Clients that recover get every message once, and those that do not miss some."""
    command = [sys.executable, "-m", "bench.load", "jitter", str(server.port)]
    size = ["--clients", "20", "--messages", "25", "--outage-ms", "300", "--connected-ms", "400"]
    done = subprocess.run(
        [*command, *size, "--dialect", dialect],
        cwd=PROJECT,
        capture_output=True,
        check=True,
        timeout=60,
    )
    figures = json.loads(done.stdout)
    assert figures["outages"] > 0
    assert figures["recovered"] == (0 if loses else figures["outages"])
    assert (figures["lost"] > 0) == loses
    assert figures["lost"] < 20 * 25
    assert figures["duplicates"] == figures["out_of_order"] == 0


def scenario(name: str) -> Scenario:
    """Return the scenario of this name."""
    (found,) = (one for one in SCENARIOS if one.name == name)
    return found


def test_avalanche_restarts_the_server() -> None:
    """Each client comes back to the new process, is told of the gap, and misses nothing."""
    load = ("avalanche", "--clients", "20", "--rate", "20", "--margin-ms", "1000")
    small, results = replace(scenario("avalanche"), load=load), Results()
    runner = Runner(Cores.available(), 0, lambda line: None)
    runner.run([BY_NAME["chatroom"]], [small], 1, results)
    assert not results.failures
    sample: Sample = results.samples["avalanche"]["chatroom"]["1"]
    assert sample["back_percent"] == 100
    assert sample["told"] == 20
    assert sample["lost"] == 0
    assert 0 < sample["stop_s"] < sample["silence_s"] < sample["back_p100_s"]


def test_peers_take_part_in_their_groups() -> None:
    """Variants that only reconnect stay out of other scenarios; another checkout reconnects too."""
    variant, other = BY_NAME["chatroom-drain"], replace(BY_NAME["chatroom"], name=NAME)
    measured = [one.name for one in SCENARIOS if one.measures(variant)]
    assert measured == ["avalanche"]
    assert scenario("jitter").measures(other)
    assert not scenario("jitter").measures(BY_NAME["chatroom-token"])
