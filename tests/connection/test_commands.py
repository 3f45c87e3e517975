"""The table of commands: what each command does, and what it costs."""

from typing import Any

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
