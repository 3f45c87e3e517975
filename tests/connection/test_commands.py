"""The table of commands: what each command does, and what it costs."""

from typing import Any

import pytest

from pubsub import fairness
from pubsub.connection.commands import GUARDED, OPEN
from pubsub.protocol.commands import decode_command
from pubsub.protocol.messages import COMMANDS
from tests.connection.support import open_room, publication, turn


def test_every_command_has_a_function() -> None:
    """Both tables have a function for every command."""
    assert set(OPEN) == set(GUARDED) == set(COMMANDS)


def execute(connection: Any, text: str) -> int:
    """Execute a command and return its cost beyond that of a plain command."""
    command = decode_command(text, max_bytes=1000)
    return OPEN[type(command)](connection, command)


async def test_subscribing_without_a_replay_costs_nothing_more() -> None:
    """Subscribing without a replay is acknowledged at no extra cost."""
    async with open_room() as room:
        transport, connection = await room.connect()
        text = '{"type":"subscribe","topic":"t","request_id":"r"}'
        assert execute(connection, text) == 0
        await turn()
        (ack,) = transport.sent
        assert (ack["type"], ack["topic"], ack["request_id"]) == ("ack", "t", "r")
        assert room.runtime.broker.subscriber_counts() == {"t": 1}


async def test_replays_are_charged_like_deliveries() -> None:
    """Replayed events follow the acknowledgement, and each of them is charged."""
    async with open_room(history_size=10) as room:
        transport, connection = await room.connect()
        publisher, _ = await room.connect()
        publisher.receive(*(publication(payload=number) for number in range(5)))
        text = '{"type":"subscribe","topic":"t","last_n":3}'
        assert execute(connection, text) == 3 * fairness.REPLAYED_EVENT
        await turn()
        ack, *events = transport.sent
        assert ack["type"] == "ack"
        assert [event["message"]["payload"] for event in events] == [2, 3, 4]
        assert execute(connection, text) == 0  # already subscribed: no second replay


@pytest.mark.parametrize(
    ("last_n", "cost"),
    [
        (0, 0),
        (1, 3 * fairness.PASSED_EVENT + fairness.REPLAYED_EVENT),
        (9, 5 * fairness.PASSED_EVENT + fairness.REPLAYED_EVENT),
    ],
)
async def test_own_messages_that_a_replay_passes_are_charged(last_n: int, cost: int) -> None:
    """A client pays for its own messages, too, which are looked at and left out."""
    async with open_room(history_size=10) as room:
        transport, connection = await room.connect()
        publisher, _ = await room.connect()
        for client, count in ((transport, 2), (publisher, 1), (transport, 3)):
            client.receive(*[publication()] * count)
        text = '{"type":"subscribe","topic":"t","last_n":%d}' % last_n
        assert execute(connection, text) == cost


async def test_own_messages_are_charged_if_there_are_no_others() -> None:
    """A client whose replay is empty pays for its own messages that were looked at."""
    async with open_room(history_size=10) as room:
        transport, connection = await room.connect()
        transport.receive(*[publication()] * 4)
        text = '{"type":"subscribe","topic":"t","last_n":1}'
        assert execute(connection, text) == 4 * fairness.PASSED_EVENT


async def test_publishing_costs_its_deliveries() -> None:
    """Publishing costs one delivery per subscriber, not counting the publisher."""
    async with open_room() as room:
        transport, connection = await room.connect()
        others = [await room.connect() for _ in range(3)]
        for other, _ in [(transport, connection), *others]:
            other.receive({"type": "subscribe", "topic": "t"})
        text = '{"type":"publish","topic":"t","message":{"id":"%s","payload":[1]}}'
        assert execute(connection, text % publication()["message"]["id"]) == 3
        await turn()
        assert [message["type"] for message in transport.sent] == ["ack", "ack"]
        for other, _ in others:
            assert other.sent[-1]["message"]["payload"] == [1]


async def test_unsubscribing_and_pinging_cost_nothing_more() -> None:
    """Unsubscribing and pinging are answered at no extra cost."""
    async with open_room() as room:
        transport, connection = await room.connect()
        transport.receive({"type": "subscribe", "topic": "t"})
        assert execute(connection, '{"type":"unsubscribe","topic":"t"}') == 0
        assert execute(connection, '{"type":"ping","request_id":"r"}') == 0
        await turn()
        _, ack, pong = transport.sent
        assert (ack["type"], pong["type"], pong["request_id"]) == ("ack", "pong", "r")
        assert room.runtime.broker.subscriber_counts() == {"t": 0}


async def test_recovering() -> None:
    """A client that returns with its position gets what it missed, but not its own messages."""
    async with open_room(history_size=10) as room:
        transport, connection = await room.connect()
        publisher, _ = await room.connect()
        execute(connection, '{"type":"subscribe","topic":"t"}')
        own = publication(payload="own")
        transport.receive(own)
        publisher.receive(publication(payload="other"))
        await turn()
        ack, published, event = transport.sent
        assert list(ack)[3:] == ["ts", "epoch", "offset", "client_id"]
        assert (ack["offset"], published["offset"], event["offset"]) == (0, 1, 2)
        returned, connection = await room.connect()
        since = f'"epoch":"{ack["epoch"]}","offset":0,"client_id":"{ack["client_id"]}"'
        text = '{"type":"subscribe","topic":"t","recover":{%s}}' % since
        assert execute(connection, text) == fairness.REPLAYED_EVENT + fairness.PASSED_EVENT
        await turn()
        ack, missed = returned.sent
        assert list(ack)[-3:] == ["client_id", "recovered", "replayed"]
        assert (ack["offset"], ack["recovered"], ack["replayed"]) == (2, True, 1)
        assert missed == event
        assert execute(connection, text) == 0  # already subscribed
        await turn()
        assert (returned.sent[-1]["recovered"], returned.sent[-1]["replayed"]) == (False, 0)


async def test_recovering_without_history() -> None:
    """A topic without history has no position, and says that nothing was recovered."""
    async with open_room() as room:
        transport, connection = await room.connect()
        recover = '{"epoch":"x","offset":1}'
        execute(connection, '{"type":"subscribe","topic":"t","recover":%s}' % recover)
        await turn()
        assert list(transport.sent[0])[4:] == ["recovered", "replayed"]


async def test_publishing_once() -> None:
    """A repetition is acknowledged as such, with the offset of the first publication."""
    for history in (0, 5):
        async with open_room(history_size=history) as room:
            transport, _ = await room.connect()
            reader, _ = await room.connect()
            reader.receive({"type": "subscribe", "topic": "t"})
            transport.receive(publication() | {"once": True}, publication() | {"once": True})
            await turn()
            first, again = transport.sent
            assert "duplicate" not in first
            assert again["duplicate"] is True
            assert again.get("offset") == first.get("offset") == (1 if history else None)
            assert [each["type"] for each in reader.sent] == ["ack", "event"]


async def test_asking_for_history() -> None:
    """A history has the kept messages, and costs what it copies."""
    async with open_room(history_size=5) as room:
        transport, connection = await room.connect()
        transport.receive(*(publication(payload=number) for number in range(4)))
        assert execute(connection, '{"type":"history","topic":"t","limit":2}') > 2
        await turn()
        page = transport.sent[-1]
        assert list(page) == [
            *("type", "topic", "ts", "epoch", "offset", "complete", "messages"),
        ]
        assert [each["message"]["payload"] for each in page["messages"]] == [2, 3]
        since = '{"epoch":"%s","offset":1}' % page["epoch"]
        ask = '{"type":"history","topic":"t","since":%s,"request_id":"h"}'
        execute(connection, ask % since)
        await turn()
        page = transport.sent[-1]
        assert (page["request_id"], page["complete"], page["offset"]) == ("h", True, 4)
        assert [each["offset"] for each in page["messages"]] == [2, 3, 4]
