"""The commands of a client in a room of two processes, over a network in memory."""

import asyncio
from typing import Any

import pytest

from pubsub.auth.access import Access
from pubsub.auth.configuration import Auth
from pubsub.core.options import GivenOptions
from pubsub.protocol.codes import Close
from pubsub.relay.base import Entry
from tests.auth.support import token
from tests.connection.support import (
    ClusterRoom,
    MemoryTransport,
    open_cluster,
    publication,
    turn,
    until,
)
from tests.connection.test_session import access, kinds

SUBSCRIBE = {"type": "subscribe", "topic": "t"}
ASK_HISTORY = {"type": "history", "topic": "t"}
ASK_PRESENCE = {"type": "presence", "topic": "t"}
KEPT = {"history": 10}
IN_THE_FUTURE = {**SUBSCRIBE, "recover": {"epoch": "none", "offset": 1_000_000}}


async def create(here: ClusterRoom, there: ClusterRoom, name: str = "t", **options: Any) -> None:
    """Create a topic, and wait until both processes know it."""
    await here.cluster.create_topic(name, GivenOptions(**options))
    await until(lambda: there.runtime.broker.find(name))


async def sent(transport: MemoryTransport, count: int) -> list[Any]:
    """Return what a client was sent, which must become so many messages and no more."""
    await until(lambda: len(transport.sent) >= count)
    await turn()
    messages = transport.sent
    assert len(messages) == count, messages
    return messages


async def at_once(transport: MemoryTransport) -> list[Any]:
    """Return what a client was sent, which must not have waited for anything."""
    assert transport.reading
    await turn()
    return transport.sent


async def subscriber(room: ClusterRoom, topic: str = "t") -> MemoryTransport:
    """Return a client of a process that is subscribed to a topic and was sent nothing but that."""
    transport, _ = await room.connect()
    transport.receive({"type": "subscribe", "topic": topic})
    await sent(transport, 1)
    transport.batches.clear()
    return transport


def topics(room: ClusterRoom) -> dict[str, int]:
    """Return the topics of a process, with the number of its own subscribers."""
    return room.runtime.broker.subscriber_counts()


# --- Subscribing ---


async def test_what_others_publish_after_the_ack_arrives() -> None:
    """The first subscription of a process is acknowledged when it gets what others publish."""
    async with open_cluster() as (here, there):
        await create(here, there)
        transport, _ = await here.connect()
        transport.receive(SUBSCRIBE)
        assert (transport.sent, topics(here), transport.reading) == ([], {"t": 0}, False)
        await sent(transport, 1)
        publisher, _ = await there.connect()
        publisher.receive(publication(payload="x"))
        ack, event = await sent(transport, 2)
        assert (ack["type"], event["message"]["payload"]) == ("ack", "x")
        assert transport.reading


async def test_later_subscriptions_do_not_wait() -> None:
    """A subscription to a topic that others in this process read is acknowledged at once."""
    async with open_cluster() as (here, there):
        for name, options in (("t", {}), ("kept", KEPT), ("who", {"presence": True})):
            await create(here, there, name, **options)
            await subscriber(here, name)
            transport, _ = await here.connect()
            transport.receive({"type": "subscribe", "topic": name})
            await at_once(transport)
            assert kinds(transport) == ["ack"]


async def test_a_topic_that_gets_a_history_while_a_subscription_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A topic that is created again with history meanwhile is received as such."""
    async with open_cluster(auto_create_topics=False) as (here, there):
        await create(here, there)
        subscribe = here.relay.subscribe

        async def slow(*arguments: Any) -> None:
            monkeypatch.undo()
            await there.replace("t", here, **KEPT)
            await subscribe(*arguments)

        monkeypatch.setattr(here.relay, "subscribe", slow)
        transport, _ = await here.connect()
        transport.receive(SUBSCRIBE)
        (ack,) = await sent(transport, 1)
        publisher, _ = await there.connect()
        publisher.receive(publication())
        event = (await sent(transport, 2))[1]
        assert event["offset"] > ack["offset"]


async def test_a_topic_that_loses_its_history_while_a_subscription_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A topic that is created again without history meanwhile is received as such."""
    async with open_cluster(auto_create_topics=False) as (here, there):
        await create(here, there, **KEPT)
        last_offset = here.relay.last_offset

        async def slow(log: str) -> int:
            monkeypatch.undo()
            await there.replace("t", here)
            return await last_offset(log)

        monkeypatch.setattr(here.relay, "last_offset", slow)
        transport, _ = await here.connect()
        transport.receive(IN_THE_FUTURE)
        (ack,) = await sent(transport, 1)
        publisher, _ = await there.connect()
        publisher.receive(publication())
        event = (await sent(transport, 2))[1]
        assert ("offset" in ack, "offset" in event) == (False, False)


async def test_a_topic_that_is_deleted_while_a_subscription_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A topic that is deleted while its history is read is created again if clients may."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)

        async def slow(log: str, *, after: int, limit: int) -> list[Entry]:
            monkeypatch.undo()
            deleting = asyncio.create_task(there.cluster.delete_topic("t"))
            await asyncio.Future()
            raise AssertionError(deleting)

        monkeypatch.setattr(here.relay, "read", slow)
        transport, _ = await here.connect()
        transport.receive(SUBSCRIBE)
        (ack,) = await sent(transport, 1)
        assert (ack["type"], topics(here)) == ("ack", {"t": 1})


async def test_a_topic_that_changes_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscription to a topic that is replaced whenever it was prepared is refused."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        last_offset = here.relay.last_offset

        async def slow(log: str) -> int:
            await there.replace("t", here, **KEPT)
            return await last_offset(log)

        monkeypatch.setattr(here.relay, "last_offset", slow)
        transport, _ = await here.connect()
        transport.receive(IN_THE_FUTURE)
        await sent(transport, 1)
        assert (kinds(transport), topics(here)) == (["UNAVAILABLE"], {"t": 0})


async def test_a_client_waits_alone() -> None:
    """While a subscription waits, its client's next commands do too, and no other client's."""
    async with open_cluster() as (here, there):
        await create(here, there)
        transport, _ = await here.connect()
        other, _ = await here.connect()
        transport.receive(SUBSCRIBE, {"type": "ping"})
        other.receive({"type": "ping"})
        assert (transport.reading, other.reading) == (False, True)
        await sent(other, 1)
        await sent(transport, 2)
        assert kinds(transport) == ["ack", "pong"]


async def test_a_client_that_leaves_while_it_waits() -> None:
    """A connection that is lost while its subscription waits is not subscribed afterwards."""
    async with open_cluster() as (here, there):
        await create(here, there)
        transport, _ = await here.connect()
        transport.receive(SUBSCRIBE)
        transport.lose()
        await subscriber(here)
        assert (transport.sent, topics(here)) == ([], {"t": 1})


async def test_a_missing_topic_is_created_everywhere() -> None:
    """Where clients may create topics, a subscription or a publication does in all processes."""
    async with open_cluster() as (here, there):
        transport, _ = await here.connect()
        transport.receive({"type": "subscribe", "topic": "a"}, publication("b"))
        await sent(transport, 2)
        assert kinds(transport) == ["ack", "ack"]
        await until(lambda: topics(there) == {"a": 0, "b": 0})


async def test_a_topic_that_two_create_at_once() -> None:
    """Clients of two processes that use the same missing topic share it."""
    async with open_cluster() as (here, there):
        one, _ = await here.connect()
        other, _ = await there.connect()
        one.receive(SUBSCRIBE)
        other.receive(SUBSCRIBE)
        await sent(one, 1)
        await sent(other, 1)
        other.receive(publication(payload=7))
        assert (await sent(one, 2))[1]["message"]["payload"] == 7
        assert kinds(other) == ["ack", "ack"]


async def test_a_missing_topic_that_clients_cannot_create() -> None:
    """Where clients may not create topics, the answer for a missing one does not wait."""
    async with open_cluster(auto_create_topics=False) as (here, _):
        transport, _ = await here.connect()
        commands = (SUBSCRIBE, publication(), ASK_HISTORY, ASK_PRESENCE)
        transport.receive(*commands)
        await at_once(transport)
        assert kinds(transport) == ["TOPIC_NOT_FOUND"] * len(commands)


async def test_an_invalid_name() -> None:
    """A name that no topic can have is refused for what it is."""
    async with open_cluster() as (here, _):
        transport, _ = await here.connect()
        transport.receive({"type": "subscribe", "topic": "a b"}, publication("a b"))
        for error in await sent(transport, 2):
            assert error["error"]["code"] == "BAD_REQUEST"
            assert "topic must be" in error["error"]["message"]


async def test_recovery_in_another_process() -> None:
    """A client recovers in a process that has never had the topic what it missed elsewhere."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await there.connect()
        for number in range(3):
            publisher.receive(publication(payload=number))
        acks = await sent(publisher, 3)
        epoch = here.runtime.broker.topic("t").epoch
        transport, _ = await here.connect()
        transport.receive({**SUBSCRIBE, "recover": {"epoch": epoch, "offset": acks[0]["offset"]}})
        ack, *events = await sent(transport, 3)
        assert (ack["recovered"], ack["offset"]) == (True, acks[2]["offset"])
        assert [event["message"]["payload"] for event in events] == [1, 2]


async def test_recovery_of_what_this_process_has_not_yet() -> None:
    """A client that knows a newer message than this process waits until the process has it."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        await subscriber(here)
        here.relay.drops = 1
        publisher, _ = await there.connect()
        publisher.receive(publication(payload="missed here"))
        ((offset, epoch),) = [
            (ack["offset"], here.runtime.broker.topic("t").epoch)
            for ack in await sent(publisher, 1)
        ]
        transport, _ = await here.connect()
        transport.receive({**SUBSCRIBE, "recover": {"epoch": epoch, "offset": offset}})
        assert transport.sent == []
        (ack,) = await sent(transport, 1)
        assert (ack["recovered"], ack["offset"]) == (True, offset)


# --- Publishing ---


async def test_publication_to_all_processes() -> None:
    """The ack is that of a single process, and subscribers everywhere get one copy, no echo."""
    async with open_cluster() as (here, there):
        await create(here, there)
        publisher, near, far = [await subscriber(room) for room in (here, here, there)]
        publisher.receive(publication(request_id="r"))
        (ack,) = await at_once(publisher)
        assert list(ack) == ["type", "request_id", "topic", "status", "ts"]
        for transport in (near, far):
            (event,) = await sent(transport, 1)
            assert (event["type"], event["ts"]) == ("event", ack["ts"])
        await sent(publisher, 1)


async def test_repetition_in_one_process() -> None:
    """A repeated publication to a topic without history is acknowledged and goes nowhere."""
    async with open_cluster() as (here, there):
        await create(here, there)
        far = await subscriber(there)
        publisher, _ = await here.connect()
        publisher.receive(publication(once=True), publication(once=True))
        first, second = await at_once(publisher)
        assert "duplicate" not in first
        assert (second["duplicate"], "scope" in second) == (True, False)
        await sent(far, 1)


async def test_publication_without_the_network() -> None:
    """Without the network a message reaches this process, and the ack says so."""
    async with open_cluster() as (here, there):
        await create(here, there)
        near = await subscriber(here)
        here.relay.disconnect()
        publisher, _ = await here.connect()
        publisher.receive(publication(request_id="r"))
        (ack,) = await at_once(publisher)
        assert (ack["request_id"], ack["status"], ack["scope"]) == ("r", "ok", "process")
        await sent(near, 1)


async def test_publication_with_one_order() -> None:
    """A topic with history has one offset for a message in all processes, and no echo."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        one, other = await subscriber(here), await subscriber(there)
        one.receive(publication(payload="by one", once=True))
        (first,) = await sent(one, 1)
        other.receive(publication(payload="by other"), publication(once=True))
        event, second, repeated = await sent(other, 3)
        assert (event["offset"], event["message"]["payload"]) == (first["offset"], "by one")
        assert second["offset"] > first["offset"]
        assert (repeated["duplicate"], repeated["offset"]) == (True, first["offset"])
        (_, event) = await sent(one, 2)
        assert (event["offset"], event["message"]["payload"]) == (second["offset"], "by other")


async def test_refusals_without_the_network() -> None:
    """Without the network, what others would have to agree to is refused and changes nothing."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        here.relay.disconnect()
        transport, _ = await here.connect()
        commands = (publication(), SUBSCRIBE, ASK_HISTORY, {**SUBSCRIBE, "topic": "new"})
        for command in (*commands, publication("new")):
            transport.receive(command)
        for error in await sent(transport, 5):
            assert error["error"]["code"] == "UNAVAILABLE"
            assert "unknown_fate" not in error
        assert topics(here) == topics(there) == {"t": 0}


async def test_unknown_fate() -> None:
    """If the answer to a publication is lost, the error says that it may have been published."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await here.connect()
        here.relay.unknown_fate = True
        publisher.receive(publication(once=True), publication(once=True))
        error, ack = await sent(publisher, 2)
        assert (error["error"]["code"], error["unknown_fate"]) == ("UNAVAILABLE", True)
        assert ack["duplicate"]


# --- Before this process knows the topics ---


async def test_commands_wait_while_the_process_joins() -> None:
    """What a client asks while its process joins the others is answered as if it had joined."""
    async with open_cluster(joined=False, auto_create_topics=False) as (here, there):
        await there.join()
        for name, options in (("t", {}), ("kept", KEPT)):
            await there.cluster.create_topic(name, GivenOptions(**options))
        transport, _ = await here.connect()
        commands = (
            *(publication(name) for name in ("t", "kept", "missing")),
            *({"type": "subscribe", "topic": name} for name in ("t", "kept", "missing")),
        )
        transport.receive(*commands)
        await turn()
        assert transport.sent == []
        await here.join()
        await sent(transport, len(commands))
        assert kinds(transport) == ["ack", "ack", "TOPIC_NOT_FOUND"] * 2


async def test_history_waits_while_the_process_joins() -> None:
    """A process that joins does not claim that a topic is missing whose history it is asked for."""
    async with open_cluster(joined=False) as (here, there):
        await there.join()
        await there.cluster.create_topic("t", GivenOptions(**KEPT))
        transport, _ = await here.connect()
        transport.receive(ASK_HISTORY)
        await here.join()
        await sent(transport, 1)
        assert kinds(transport) == ["history"]


# --- Looking ---


async def test_ping() -> None:
    """A pong names the process only to a client that asks for it."""
    async with open_cluster() as (here, _):
        transport, _ = await here.connect()
        transport.receive({"type": "ping"}, {"type": "ping", "process": True, "request_id": "r"})
        plain, asked = await at_once(transport)
        assert list(plain) == ["type", "ts"]
        assert (asked["request_id"], asked["process"]) == ("r", here.runtime.process_id)


async def test_history_has_the_newest_messages_of_others() -> None:
    """History contains what another process accepted just before, though nobody here reads it."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await there.connect()
        publisher.receive(publication(payload="x"))
        (ack,) = await sent(publisher, 1)
        transport, _ = await here.connect()
        transport.receive(ASK_HISTORY | {"request_id": "h"})
        (answer,) = await sent(transport, 1)
        assert (answer["request_id"], answer["complete"]) == ("h", True)
        assert answer["offset"] == ack["offset"]
        assert [each["message"]["payload"] for each in answer["messages"]] == ["x"]


async def test_history_of_a_topic_without_it() -> None:
    """A topic that keeps no history is refused at once."""
    async with open_cluster() as (here, there):
        await create(here, there)
        transport, _ = await here.connect()
        transport.receive(ASK_HISTORY)
        await at_once(transport)
        assert kinds(transport) == ["BAD_REQUEST"]


async def test_presence_of_all_processes() -> None:
    """The members of all processes are listed, at once if they are known here."""
    async with open_cluster() as (here, there):
        await create(here, there, presence=True)
        await subscriber(there)
        for _ in range(2):
            transport, _ = await here.connect()
            transport.receive(ASK_PRESENCE | {"request_id": "p"})
            is_known = transport.reading
            (answer,) = await sent(transport, 1)
            assert (answer["request_id"], answer["clients"]) == ("p", 1)
        assert is_known


async def test_watching_all_processes() -> None:
    """A subscription with presence begins with the members of all processes."""
    async with open_cluster() as (here, there):
        await create(here, there, presence=True)
        await subscriber(there)
        transport, _ = await here.connect()
        transport.receive({**SUBSCRIBE, "presence": True})
        ack, presence = await sent(transport, 2)
        assert (ack["type"], presence["clients"], len(presence["members"])) == ("ack", 2, 2)


async def test_presence_of_a_topic_without_it() -> None:
    """A topic without presence is refused at once."""
    async with open_cluster() as (here, there):
        await create(here, there)
        transport, _ = await here.connect()
        transport.receive(ASK_PRESENCE)
        await at_once(transport)
        assert kinds(transport) == ["BAD_REQUEST"]


# --- With access control ---


def with_tokens() -> Access:
    """Return an access control in which everyone needs a token."""
    return access(Auth.REQUIRED)


async def test_rights_are_needed() -> None:
    """What a token does not cover is refused at once, whether the topic exists or not."""
    async with open_cluster(with_tokens()) as (here, there):
        await create(here, there, **KEPT)
        transport, _ = await here.connect(token=token("42", subscribe=["u"], publish=["u"]))
        commands = (SUBSCRIBE, publication(), ASK_HISTORY, ASK_PRESENCE, publication("v"))
        transport.receive(*commands)
        await at_once(transport)
        assert kinds(transport) == ["FORBIDDEN"] * len(commands)
        assert topics(here) == {"t": 0}


async def test_users_are_named_in_other_processes() -> None:
    """An event carries the user who published it, with history and without, everywhere."""
    async with open_cluster(with_tokens()) as (here, there):
        everything = {"subscribe": ["*"], "publish": ["*"]}
        publisher, _ = await here.connect(token=token("42", **everything))
        reader, _ = await there.connect(token=token("43", **everything))
        for number, (name, options) in enumerate((("t", {}), ("kept", KEPT))):
            await create(here, there, name, **options)
            reader.receive({"type": "subscribe", "topic": name})
            await sent(reader, 2 * number + 1)
            publisher.receive(publication(name))
            event = (await sent(reader, 2 * number + 2))[-1]
            assert (event["topic"], event["user"]) == (name, "42")


async def test_rights_that_end_while_a_command_waits() -> None:
    """A command that has waited is refused if its client may not do it any more."""
    async with open_cluster(with_tokens()) as (here, there):
        for name, command in (("a", SUBSCRIBE), ("b", ASK_HISTORY), ("c", ASK_PRESENCE)):
            await create(here, there, name, history=10, presence=True)
            transport, connection = await here.connect(token=token("42", subscribe=[name]))
            transport.receive({**command, "topic": name})
            assert not transport.reading
            assert connection.session is not None
            connection.session.authenticate(token("42", subscribe=["u"]), "renewed")
            await sent(transport, 2)
            assert kinds(transport) == ["ack", "FORBIDDEN"]
        assert topics(here) == {"a": 0, "b": 0, "c": 0}


async def test_the_server_stops_while_a_command_waits() -> None:
    """A client whose command waits for others that do not answer is sent away at once."""
    async with open_cluster(joined=False) as (here, _):
        transport, connection = await here.connect()
        transport.receive(SUBSCRIBE)
        connection.stop()
        assert transport.closed_with is Close.SHUTDOWN
        assert transport.sent == []
