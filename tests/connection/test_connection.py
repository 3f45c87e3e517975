"""A connection: its read pump, write pump, budget, rate limit and end."""

import asyncio
import json
import logging
from typing import Any

import pytest

from pubsub import fairness
from pubsub.connection.commands import OPEN
from pubsub.connection.connection import BATCH_BYTES
from pubsub.connection.rate import PATIENCE
from pubsub.core.options import GivenOptions, Overflow
from pubsub.protocol.codes import Close
from pubsub.protocol.messages import Ping
from pubsub.transport.base import OTHER, Other
from pubsub.websocket.engine import TooLarge
from tests.connection.support import open_room, publication, turn

PING = {"type": "ping"}


def fill(transport: Any, count: int) -> None:
    """Fill an outbox of ``count`` frames while the socket is full."""
    transport.writable = False
    transport.receive(*([PING] * count))


# --- The read pump ---


async def test_commands_are_executed_at_once_and_answered_in_one_write() -> None:
    """Commands run at once, and their replies leave in order in one write per tick."""
    async with open_room() as room:
        transport, _ = await room.connect()
        transport.receive({"type": "subscribe", "topic": "t"}, {"type": "ping", "request_id": "r"})
        assert room.runtime.broker.subscriber_counts() == {"t": 1}
        assert transport.batches == []
        await turn()
        assert [message["type"] for message in transport.sent] == ["ack", "pong"]
        assert len(transport.batches) == 1


async def test_refused_command() -> None:
    """A refusal is reported with its error code, the request id and the topic."""
    async with open_room(auto_create_topics=False) as room:
        transport, _ = await room.connect()
        transport.receive({"type": "unsubscribe", "topic": "t", "request_id": "r"})
        transport.receive({"type": "subscribe", "topic": "t"})
        await turn()
        first, second = transport.sent
        assert (first["error"]["code"], first["request_id"]) == ("NOT_SUBSCRIBED", "r")
        assert (second["error"]["code"], second["topic"]) == ("TOPIC_NOT_FOUND", "t")


async def test_refusal_names_the_topic_if_its_name_is_valid() -> None:
    """A topic that cannot do what a client asks for is named; an invalid name is not repeated."""
    async with open_room() as room:
        room.runtime.broker.create_topic("t")
        transport, _ = await room.connect()
        for kind, topic in [("history", "t"), ("presence", "t"), ("history", "a b")]:
            transport.receive({"type": kind, "topic": topic})
        await turn()
        assert [error["error"]["code"] for error in transport.sent] == ["BAD_REQUEST"] * 3
        assert [error.get("topic") for error in transport.sent] == ["t", "t", None]


async def test_invalid_message() -> None:
    """An invalid message is answered with the field at fault, and reading continues."""
    async with open_room() as room:
        transport, _ = await room.connect()
        transport.receive({"type": "subscribe", "request_id": "r"}, PING)
        await turn()
        error, pong = transport.sent
        assert (error["error"]["code"], error["request_id"]) == ("BAD_REQUEST", "r")
        assert "topic" in error["error"]["message"]
        assert pong["type"] == "pong"


async def test_binary_message() -> None:
    """A binary message is refused with the request id of the JSON inside it."""
    async with open_room() as room:
        transport, _ = await room.connect()
        too_large = TooLarge(False, 5000, b'{"type":"ping","request_id":"s","x":"', b'y"}')
        transport.receive(b'{"type":"ping","request_id":"r"}', b"\xff", too_large)
        await turn()
        assert [message["error"]["code"] for message in transport.sent] == ["BAD_REQUEST"] * 3
        assert [message.get("request_id") for message in transport.sent] == ["r", None, "s"]


async def test_message_over_the_limit() -> None:
    """A message over the limit is refused with the request id from its start or its end."""
    async with open_room(max_message_bytes=100) as room:
        transport, _ = await room.connect()
        text = json.dumps({"type": "ping", "x": "y" * 100, "request_id": "r"})
        transport.receive(text, TooLarge(True, 5000, b'{"x":"yyy', b'y","request_id":"s"}'))
        await turn()
        codes = [message["error"]["code"] for message in transport.sent]
        assert codes == ["MESSAGE_TOO_LARGE"] * 2
        assert [message["request_id"] for message in transport.sent] == ["r", "s"]


async def test_bug_of_the_server_is_logged_and_not_shown(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an unexpected exception the client gets INTERNAL and stays connected."""

    def fail(*args: Any) -> int:
        raise ZeroDivisionError("a secret")

    async with open_room() as room:
        transport, _ = await room.connect()
        monkeypatch.setitem(OPEN, Ping, fail)
        transport.receive({"type": "ping", "request_id": "r"}, {"type": "subscribe", "topic": "t"})
        await turn()
        error, ack = transport.sent
        assert error["error"] == {"code": "INTERNAL", "message": "internal error"}
        assert (error["request_id"], ack["type"]) == ("r", "ack")
        (record,) = caplog.records
        assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)


# --- The budget ---


@pytest.mark.parametrize(
    ("message", "cost"),
    [
        (json.dumps(PING), fairness.COMMAND),
        (OTHER, fairness.OTHER_FRAME),
        (Other(300), 300),
        ("x" * 4000, fairness.COMMAND + 4000 // fairness.REJECTED_BYTES),
        (b"x" * 4000, fairness.COMMAND + 4000 // fairness.REJECTED_BYTES),
        (TooLarge(True, 8000, b"", b""), fairness.COMMAND + 8000 // fairness.REJECTED_BYTES),
    ],
    ids=["command", "control frame", "inflated", "bad text", "binary", "too large"],
)
async def test_client_over_its_budget_waits_for_its_turn(message: Any, cost: int) -> None:
    """Each message is charged, and a client over its budget is not read until its next turn."""
    share = -(-fairness.BUDGET // cost)
    two_shares = -(-2 * fairness.BUDGET // cost)  # what exceeds one is missing from the next
    async with open_room(queue_size=10_000) as room:
        transport, _ = await room.connect()
        transport.receive(*([message] * 3 * share))
        assert not transport.reading
        assert len(transport.input) == 2 * share
        await asyncio.sleep(0)
        assert len(transport.input) == 3 * share - two_shares
        await turn()
        assert (len(transport.input), transport.reading) == (0, True)


async def test_debt_is_paid_off_in_further_turns() -> None:
    """A message that costs several budgets keeps its client waiting for as many turns."""
    async with open_room() as room:
        transport, _ = await room.connect()
        size = 4 * fairness.BUDGET * fairness.REJECTED_BYTES
        transport.receive(TooLarge(True, size, b"", b""), json.dumps(PING))
        for _ in range(4):
            assert (len(transport.input), transport.reading) == (1, False)
            await asyncio.sleep(0)
        await turn()
        assert (len(transport.input), transport.reading) == (0, True)


async def test_deliveries_and_replays_are_charged() -> None:
    """Replays are charged, so that a client that repeats them waits sooner."""
    async with open_room(history_size=1000, queue_size=10_000) as room:
        transport, _ = await room.connect()
        publisher, _ = await room.connect()
        for _ in range(3):
            publisher.receive(*([publication()] * 333))
            await turn()
        commands = [{"type": kind, "topic": "t"} for kind in ("subscribe", "unsubscribe")]
        commands[0]["last_n"] = 999
        cost = 2 * fairness.COMMAND + 999 * fairness.REPLAYED_EVENT
        transport.receive(*(commands * 100))
        done = (200 - len(transport.input)) / 2
        assert fairness.BUDGET / cost <= done < fairness.BUDGET / cost + 1


# --- Backpressure ---


async def test_client_that_does_not_read_is_not_read() -> None:
    """A message behind a full outbox is held and executed once there is room."""
    async with open_room(queue_size=3) as room:
        transport, _ = await room.connect()
        fill(transport, 3)
        assert transport.reading
        transport.receive({"type": "subscribe", "topic": "held"}, {"type": "ping"})
        await turn()
        assert not transport.reading
        assert room.runtime.broker.subscriber_counts() == {}
        transport.drain()
        await turn()
        assert transport.reading
        types = [message["type"] for message in transport.sent]
        assert types == ["pong"] * 3 + ["ack", "pong"]


async def test_full_outbox_is_flushed_before_reading_stops() -> None:
    """A full outbox is flushed first; reading stops only if the socket is full too."""
    async with open_room(queue_size=3) as room:
        transport, _ = await room.connect()
        transport.receive(*([PING] * 10))
        assert transport.reading
        assert len(transport.sent) == 9
        await turn()
        assert len(transport.sent) == 10


async def test_held_message_is_dropped_with_the_connection() -> None:
    """A held message is discarded when the connection is lost."""
    async with open_room(queue_size=1) as room:
        transport, _ = await room.connect()
        fill(transport, 1)
        transport.receive({"type": "subscribe", "topic": "held"})
        transport.lose()
        await turn()
        assert room.runtime.broker.subscriber_counts() == {}
        assert room.runtime.broker.client_count == 0


async def test_messages_after_the_end_are_ignored() -> None:
    """Messages that arrive after the end of the connection are ignored."""
    async with open_room() as room:
        transport, connection = await room.connect()
        connection.on_lost()
        transport.receive({"type": "subscribe", "topic": "late"})
        await turn()
        assert room.runtime.broker.subscriber_counts() == {}
        assert transport.sent == []


# --- The rate ---


async def test_client_over_its_rate_is_refused() -> None:
    """Every message over the rate limit is answered with RATE_LIMITED and its request id."""
    async with open_room(rate_limit=0.001) as room:
        transport, _ = await room.connect()
        question = json.dumps({"type": "ping", "request_id": "r"})
        too_large = TooLarge(True, 5000, b"", question.encode())
        transport.receive(question, question, question.encode(), too_large)
        await turn()
        pong, *errors = transport.sent
        assert pong["type"] == "pong"
        assert [error["error"]["code"] for error in errors] == ["RATE_LIMITED"] * 3
        assert [error["request_id"] for error in errors] == ["r"] * 3


async def test_client_that_persists_over_its_rate_is_disconnected() -> None:
    """A client that keeps exceeding its rate gets the errors so far, and is closed with 3013."""
    async with open_room(rate_limit=0.001) as room:
        transport, _ = await room.connect()
        transport.receive(*([PING] * (int(PATIENCE) + 1)))
        assert transport.closed_with is None
        transport.receive(PING, PING)
        assert transport.closed_with is Close.TOO_MANY_REQUESTS
        assert [message["type"] for message in transport.sent] == ["pong"] + ["error"] * 10


async def test_client_with_too_many_malformed_messages_is_disconnected() -> None:
    """The last of the malformed messages is answered; then the client is closed with 3501."""
    async with open_room(max_malformed=3) as room:
        transport, _ = await room.connect()
        transport.receive("{", PING, {"type": "subscribe", "topic": "a b"})
        assert transport.closed_with is None
        transport.receive("{", "{")
        assert transport.closed_with is Close.BAD_REQUEST
        codes = [message["error"]["code"] for message in transport.sent if "error" in message]
        assert codes == ["BAD_REQUEST"] * 3


async def test_malformed_messages_need_not_be_limited() -> None:
    """With a limit of 0 any number of malformed messages is answered."""
    async with open_room(max_malformed=0, queue_size=10_000) as room:
        transport, _ = await room.connect()
        transport.receive(*(["{"] * 1001))
        while transport.input:
            await turn()
        await turn()
        assert len(transport.sent) == 1001


async def test_without_a_rate_limit_any_number_passes() -> None:
    """There is no rate limit by default."""
    async with open_room(queue_size=10_000) as room:
        transport, _ = await room.connect()
        transport.receive(*([PING] * 2000))
        while transport.input:
            await turn()
        await turn()
        assert {message["type"] for message in transport.sent} == {"pong"}


# --- The write pump ---


async def test_frames_wait_while_the_socket_is_full() -> None:
    """Frames wait while the socket is full and leave in order afterwards."""
    async with open_room() as room:
        transport, _ = await room.connect()
        fill(transport, 2)
        await turn()
        assert transport.batches == []
        transport.drain()
        assert len(transport.sent) == 2


async def test_large_backlog_is_written_in_batches() -> None:
    """A large backlog is written in batches of bounded size."""
    async with open_room(queue_bytes=10_000_000) as room:
        transport, _ = await room.connect()
        transport.receive({"type": "subscribe", "topic": "t"})
        await turn()
        publisher, _ = await room.connect()
        publisher.receive(*(publication(payload="x" * 20_000) for _ in range(10)))
        await turn()
        sizes = [sum(map(len, batch)) for batch in transport.batches]
        assert max(sizes) <= BATCH_BYTES
        assert len(sizes) == 1 + 4
        assert len(transport.sent) == 11


async def test_replay_is_written_in_slices() -> None:
    """A client that reads a long replay as fast as it comes does not keep the others waiting."""
    async with open_room(queue_size=2, history_size=900, overflow=Overflow.CATCH_UP) as room:
        slow, connection = await room.connect()
        slow.receive({"type": "subscribe", "topic": "t"})
        await turn()
        slow.writable = False
        publisher, _ = await room.connect()
        for number in range(900):
            publisher.receive(publication(payload=f"{number:01000}"))
        other, _ = await room.connect()
        slow.drain()
        connection._flush()
        assert len(slow.batches) == 3
        assert len(room.runtime.turns._waiting) == 1  # one for a client, whoever asks
        other.receive(PING)
        await asyncio.sleep(0)
        assert len(other.sent) == 1
        while connection.outbox.is_replaying:
            before = len(slow.batches)
            await asyncio.sleep(0)
            assert len(slow.batches) <= before + 1
        assert [int(each["message"]["payload"]) for each in slow.sent[1:]] == list(range(900))


async def test_replay_in_slices_costs_no_other_event() -> None:
    """Nothing is dropped while the socket has room, however long a replay is."""
    async with open_room(queue_size=2, history_size=900) as room:
        room.runtime.broker.create_topic("t", GivenOptions(overflow=Overflow.CATCH_UP))
        slow, connection = await room.connect()
        slow.receive(*({"type": "subscribe", "topic": topic} for topic in "tu"))
        await turn()
        slow.writable = False
        publisher, _ = await room.connect()
        for _ in range(900):
            publisher.receive(publication(payload="x" * 1000))
        other, _ = await room.connect()
        slow.drain()
        slow.writable = False
        other.receive(publication("u", 1))
        slow.writable = True
        assert connection.outbox.full()
        other.receive(publication("u", 2))
        assert connection.outbox.is_replaying
        connection._flush(whole=True)
        events = [each for each in slow.sent if each["type"] != "ack" and each["topic"] != "t"]
        assert [each["message"]["payload"] for each in events] == [1, 2]


async def test_bug_in_writing_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """A failed write closes only that connection, with 1011 and after the publication."""
    async with open_room() as room:
        broken, other = [(await room.connect())[0] for _ in range(2)]
        for transport in (broken, other):
            transport.receive({"type": "subscribe", "topic": "t"})
        await turn()
        broken.broken = True
        publisher, _ = await room.connect()
        publisher.receive(publication())
        await turn()
        assert broken.closed_with is Close.INTERNAL
        assert other.closed_with is None
        assert other.sent[-1]["type"] == "event"
        assert room.runtime.broker.subscriber_counts() == {"t": 1}
        assert "Failed to write" in caplog.text


# --- The end ---


async def test_overflow_can_disconnect() -> None:
    """With `disconnect`, an overflow closes with 3008, but only after the publication."""
    async with open_room(queue_size=1, overflow=Overflow.DISCONNECT) as room:
        transport, _ = await room.connect()
        transport.receive({"type": "subscribe", "topic": "t"})
        await turn()
        transport.writable = False
        publisher, _ = await room.connect()
        publisher.receive(publication(), publication())
        assert transport.closed_with is None
        await turn()
        assert transport.closed_with is Close.SLOW
        assert room.runtime.broker.subscriber_counts() == {"t": 0}


async def test_overflow_of_one_topic_can_disconnect() -> None:
    """The policy is that of the topic, whatever others have and the server has by default."""
    async with open_room(queue_size=1) as room:
        disconnecting = GivenOptions(overflow=Overflow.DISCONNECT)
        room.runtime.broker.create_topic("strict", disconnecting)
        transport, _ = await room.connect()
        for topic in ("t", "strict"):
            transport.receive({"type": "subscribe", "topic": topic})
        await turn()
        transport.writable = False
        publisher, _ = await room.connect()
        publisher.receive(publication("t"), publication("t"))
        await turn()
        assert transport.closed_with is None
        publisher.receive(publication("strict"))
        await turn()
        assert transport.closed_with is Close.SLOW


async def test_stop_while_catching_up() -> None:
    """A client that is behind gets one more batch of its backlog before the close."""
    async with open_room(queue_size=1, history_size=9, overflow=Overflow.CATCH_UP) as room:
        transport, connection = await room.connect()
        transport.receive({"type": "subscribe", "topic": "t"})
        await turn()
        transport.writable = False
        publisher, _ = await room.connect()
        for number in range(5):
            publisher.receive(publication(payload=number))
        connection.stop()
        assert transport.closed_with is Close.SHUTDOWN
        payloads = [each["message"]["payload"] for each in transport.sent[1:]]
        assert payloads == list(range(5))


async def test_first_loss_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A client that loses events again and again has one line in the log, and stays."""
    caplog.set_level(logging.INFO, "pubsub")
    async with open_room(queue_size=1) as room:
        transport, connection = await room.connect()
        transport.receive({"type": "subscribe", "topic": "t"})
        await turn()
        publisher, _ = await room.connect()
        for _ in range(2):
            transport.writable = False
            publisher.receive(publication(), publication())
            await turn()
            transport.drain()
        assert [message.get("dropped") for message in transport.sent].count(1) == 2
        assert transport.closed_with is None
        assert log_of(caplog) == [
            f"slow_consumer client_id={connection.client.id} address=10.0.0.1"
        ]


async def test_close_is_logged_unless_it_is_ordinary(caplog: pytest.LogCaptureFixture) -> None:
    """A close by policy has one line, whoever decides it; a stop and the client's own have none."""
    caplog.set_level(logging.INFO, "pubsub")
    async with open_room() as room:
        transport, connection = await room.connect()
        connection.close(Close.STALE)
        transport.lose()
        transport, other = await room.connect()
        transport.close_code, transport.close_reason = 3012, "no pong"
        transport.lose()
        transport, stopped = await room.connect()
        stopped.stop()
        transport.lose()
        transport, _ = await room.connect()
        transport.close_code = 3008
        transport.lose()
    assert log_of(caplog) == [
        f"client_closed code=3502 reason=stale client_id={connection.client.id} address=10.0.0.1",
        f'client_closed code=3012 reason="no pong" client_id={other.client.id} address=10.0.0.1',
    ]


async def test_connections_are_logged_on_request(caplog: pytest.LogCaptureFixture) -> None:
    """With the level DEBUG, each connection has a line when it begins and when it ends."""
    caplog.set_level(logging.DEBUG, "pubsub")
    async with open_room() as room:
        transport, connection = await room.connect()
        transport.lose()
        await turn()
    who = f"client_id={connection.client.id} address=10.0.0.1"
    assert log_of(caplog) == [f"client_connected {who}", f"client_disconnected code=1006 {who}"]


def log_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the lines of the server's log."""
    return [each.getMessage() for each in caplog.records if each.name == "pubsub.server"]


async def test_stop_sends_pending_replies_and_closes() -> None:
    """A stop sends all pending replies before it closes the connection."""
    async with open_room() as room:
        transport, connection = await room.connect()
        transport.receive(PING)
        connection.stop()
        assert [message["type"] for message in transport.sent] == ["pong"]
        assert transport.closed_with is Close.SHUTDOWN


async def test_closing_twice() -> None:
    """Only the first reason for closing counts."""
    async with open_room() as room:
        transport, connection = await room.connect()
        connection.close(Close.SLOW)
        connection.close(Close.INTERNAL)
        connection.stop()
        assert transport.closed_with is Close.SLOW


async def test_lost_connection_leaves_every_topic_at_once() -> None:
    """A lost connection leaves every topic at once, before its task has ended."""
    async with open_room() as room:
        transport, _ = await room.connect()
        transport.receive({"type": "subscribe", "topic": "t"})
        transport.lose()
        assert room.runtime.broker.subscriber_counts() == {"t": 0}
        assert room.runtime.broker.client_count == 0
        await asyncio.wait_for(room.tasks[0], 10)
        assert not room.runtime.registry.tasks


async def test_cancelled_task_leaves_every_topic() -> None:
    """Cancelling the task of a connection removes its subscriptions."""
    async with open_room() as room:
        transport, _ = await room.connect()
        transport.receive({"type": "subscribe", "topic": "t"})
        room.tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await room.tasks[0]
        assert room.runtime.broker.subscriptions() == {}
        assert not room.runtime.registry.tasks


async def test_repr() -> None:
    """The repr contains the client's id."""
    async with open_room() as room:
        _, connection = await room.connect()
        assert connection.client.id in repr(connection)
