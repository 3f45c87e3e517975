"""Publications of one client that are on their way at the same time, and their answers."""

import asyncio
import json
import sys
from typing import Any

import pytest

from pubsub import fairness
from pubsub.auth.configuration import Auth
from pubsub.cluster.journals.load import Load
from pubsub.connection.pipeline import Pipeline
from pubsub.core.publication import Publication
from pubsub.protocol.codes import Close
from pubsub.protocol.messages import Publication as Message
from pubsub.protocol.messages import Publish
from tests.auth.support import token
from tests.connection.support import (
    UUID,
    open_cluster,
    publication,
    turn,
    until,
)
from tests.connection.test_cluster_commands import KEPT, at_once, create, sent, subscriber
from tests.connection.test_session import Authorizer, User, access, kinds


class Publishing:
    """A pipeline whose publications end when a test says so."""

    def __init__(self) -> None:
        self.answers: list[object] = []
        self.load = Load()
        self.pipeline = Pipeline(
            self.load,
            acknowledge=lambda command, publication: self.answers.append(publication.offset),
            refuse=lambda command, error: self.answers.append(error),
        )
        self._outcomes: list[asyncio.Future[Publication]] = []

    def begin(self, size: int = 1) -> None:
        """Begin one more publication."""
        outcome: asyncio.Future[Publication] = asyncio.get_running_loop().create_future()
        self._outcomes.append(outcome)

        async def publishing() -> Publication:
            return await outcome

        command = Publish("t", Message(UUID, b"1"))  # type: ignore[arg-type]
        self.pipeline.begin(command, publishing(), size)

    async def accept(self, index: int) -> None:
        """Accept the publication with this index, which becomes its offset."""
        accepted = Publication("t", UUID, b"1", None, 0, index, None)
        self._outcomes[index].set_result(accepted)
        await turn()

    async def refuse(self, index: int, error: Exception) -> None:
        """Refuse the publication with this index."""
        self._outcomes[index].set_exception(error)
        await turn()


async def test_answers_have_the_order_of_the_commands() -> None:
    """A publication is answered after those before it, accepted or not, whichever ends first."""
    publishing = Publishing()
    for _ in range(4):
        publishing.begin()
    error = ValueError("refused")
    await publishing.refuse(2, error)
    await publishing.accept(1)
    assert publishing.answers == []
    await publishing.accept(0)
    assert publishing.answers == [0, 1, error]
    await publishing.accept(3)
    assert publishing.answers == [0, 1, error, 3]


async def test_waiting_until_all_are_answered() -> None:
    """Who waits for an idle pipeline goes on after the last answer, at once if there is none."""
    publishing = Publishing()
    await publishing.pipeline.wait_until_idle()
    publishing.begin()
    publishing.begin()
    waiting = asyncio.create_task(publishing.pipeline.wait_until_idle())
    await publishing.accept(0)
    assert not waiting.done()
    await publishing.accept(1)
    assert waiting.done()
    assert repr(publishing.pipeline) == "<Pipeline, 0 publications>"


async def test_room_for_many() -> None:
    """A full pipeline has room again when half of its publications are answered."""
    publishing = Publishing()
    for _ in range(fairness.PIPELINED):
        assert not publishing.pipeline.is_full
        publishing.begin()
    assert publishing.pipeline.is_full
    await turn()
    waiting = asyncio.create_task(publishing.pipeline.wait_for_room())
    for index in range(fairness.PIPELINED // 2):
        assert not waiting.done()
        await publishing.accept(index)
    assert waiting.done()


async def test_room_for_large_ones() -> None:
    """Few publications fill a pipeline if they are large, until they are answered."""
    publishing = Publishing()
    publishing.begin(fairness.PIPELINED_BYTES - 1)
    assert not publishing.pipeline.is_full
    publishing.begin(1)
    assert publishing.pipeline.is_full
    await publishing.accept(0)
    assert not publishing.pipeline.is_full


async def test_room_for_all_clients() -> None:
    """If all clients together have too many on their way, each has one at a time."""
    publishing = Publishing()
    publishing.load.count = fairness.PIPELINED_IN_ALL
    assert not publishing.pipeline.is_full
    publishing.begin()
    assert publishing.pipeline.is_full
    await publishing.refuse(0, ValueError())
    assert not publishing.pipeline.is_full
    assert repr(publishing.load) == f"<Load, {fairness.PIPELINED_IN_ALL} publications>"


async def test_a_waiter_that_has_gone() -> None:
    """A pipeline goes on if nobody waits for it any more."""
    publishing = Publishing()
    publishing.begin()
    waiting = asyncio.create_task(publishing.pipeline.wait_until_idle())
    await turn()
    waiting.cancel()
    await publishing.accept(0)
    assert publishing.answers == [0]


# --- The commands of a client ---


def offsets(messages: list[Any]) -> list[int]:
    """Return the offsets of some messages, which all have one."""
    return [message["offset"] for message in messages]


def numbered(count: int, topic: str = "t") -> list[dict[str, Any]]:
    """Return publications whose payloads and request ids are numbers."""
    return [publication(topic, number, request_id=str(number)) for number in range(count)]


async def test_many_are_on_their_way_at_once() -> None:
    """A client need not wait for an ack, and subscribers get its messages as they were sent."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        far = await subscriber(there)
        publisher, _ = await here.connect()
        publisher.receive(*numbered(10))
        assert (publisher.sent, publisher.reading) == ([], True)
        acks = await sent(publisher, 10)
        assert [ack["request_id"] for ack in acks] == [str(number) for number in range(10)]
        events = await sent(far, 10)
        assert [event["message"]["payload"] for event in events] == list(range(10))
        assert offsets(events) == offsets(acks) == sorted(offsets(acks))


async def test_a_client_that_floods_is_not_read() -> None:
    """No more than `PIPELINED` publications of a client are on their way, and all are answered."""
    count = 3 * fairness.PIPELINED
    async with open_cluster() as (here, there):
        await create(here, there, history=count)
        publisher, connection = await here.connect()
        publisher.receive(*numbered(count))
        assert not publisher.reading
        assert len(publisher.input) == count - fairness.PIPELINED - 1
        assert repr(connection.pipeline) == f"<Pipeline, {fairness.PIPELINED} publications>"
        acks = await sent(publisher, count)
        assert [ack["request_id"] for ack in acks] == [str(number) for number in range(count)]
        assert publisher.reading


async def test_many_clients_that_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that have too many on their way together are answered nevertheless, in order."""
    monkeypatch.setattr(fairness, "PIPELINED_IN_ALL", 10)
    async with open_cluster() as (here, there):
        await create(here, there, history=100)
        publishers = [(await here.connect())[0] for _ in range(4)]
        for publisher in publishers:
            publisher.receive(*numbered(20))
        assert here.cluster.journals.load.count == 10 + 3
        for publisher in publishers:
            acks = await sent(publisher, 20)
            assert [ack["request_id"] for ack in acks] == [str(number) for number in range(20)]
        assert here.cluster.journals.load.count == 0


async def test_the_rest_of_a_message_is_not_kept() -> None:
    """What is kept of a publication on its way is its payload, whatever else the client sent."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, connection = await here.connect()
        text = json.dumps({**publication(), "padding": "x" * 60_000})
        references = sys.getrefcount(text)
        publisher.receive(text, publication())
        assert sys.getrefcount(text) == references
        assert not connection.pipeline.is_full
        await sent(publisher, 2)


OTHERS = [
    ({"type": "ping"}, "pong"),
    ({"type": "subscribe", "topic": "t"}, "ack"),
    ({"type": "unsubscribe", "topic": "t"}, "NOT_SUBSCRIBED"),
    ({"type": "history", "topic": "t"}, "history"),
    ({"type": "presence", "topic": "t"}, "BAD_REQUEST"),
    ({"type": "auth", "token": "x"}, "BAD_REQUEST"),
    (publication("plain"), "ack"),
    (publication("missing"), "TOPIC_NOT_FOUND"),
    ("{", "BAD_REQUEST"),
    (b"{", "BAD_REQUEST"),
]


@pytest.mark.parametrize(("command", "kind"), OTHERS)
async def test_other_commands_wait_for_the_answers(command: Any, kind: str) -> None:
    """Any other message of the client is answered after the publications before it."""
    async with open_cluster(auto_create_topics=False) as (here, there):
        await create(here, there, **KEPT)
        await create(here, there, "plain")
        publisher, _ = await here.connect()
        first, second, last = numbered(3)
        publisher.receive(first, second, command, last)
        assert (publisher.sent, publisher.reading) == ([], False)
        answers = [each for each in await sent(publisher, 4) if each["type"] != "event"]
        assert [each.get("request_id") for each in answers] == ["0", "1", None, "2"]
        assert kinds(publisher) == ["ack", "ack", kind, "ack"]


async def test_a_subscription_begins_after_the_publications_before_it() -> None:
    """History that a client asks for contains what it has published just before."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await here.connect()
        publisher.receive(*numbered(3), {"type": "history", "topic": "t"})
        answer = (await sent(publisher, 4))[-1]
        assert [each["message"]["payload"] for each in answer["messages"]] == [0, 1, 2]


async def test_a_failure_between_others() -> None:
    """A publication whose answer was lost is refused in its place, and those after it succeed."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await here.connect()
        here.relay.unknown_fate = True
        publisher.receive(*numbered(3))
        answers = await sent(publisher, 3)
        assert kinds(publisher) == ["UNAVAILABLE", "ack", "ack"]
        assert answers[0]["unknown_fate"]
        assert [each["request_id"] for each in answers] == ["0", "1", "2"]


async def test_the_network_is_lost_while_some_are_on_their_way() -> None:
    """All publications on their way are refused then, and those that follow."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await here.connect()
        publisher.receive(*numbered(3))
        here.relay.disconnect()
        publisher.receive(publication(request_id="later"))
        answers = await sent(publisher, 4)
        assert kinds(publisher) == ["UNAVAILABLE"] * 4
        assert [each["request_id"] for each in answers] == ["0", "1", "2", "later"]


async def test_a_repetition_while_the_first_is_on_its_way() -> None:
    """A message that is repeated before its ack is delivered once, and the second ack says so."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        far = await subscriber(there)
        publisher, _ = await here.connect()
        publisher.receive(publication(once=True), publication(once=True))
        first, second = await sent(publisher, 2)
        assert ("duplicate" in first, second["duplicate"]) == (False, True)
        await sent(far, 1)


async def test_a_client_that_leaves_meanwhile() -> None:
    """What the server has read of a client that leaves is delivered, and counted."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        far = await subscriber(there)
        publisher, _ = await here.connect()
        publisher.receive(*numbered(5))
        publisher.lose()
        assert len(await sent(far, 5)) == 5
        assert here.runtime.broker.topic("t").counters.messages == 5
        assert publisher.sent == []


async def test_a_client_that_says_so_when_it_leaves() -> None:
    """All publications before a close frame are answered before it is."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await here.connect()
        publisher.receive(*numbered(5))
        publisher.end()
        assert not publisher.reading
        await until(lambda: not here.runtime.broker.client_count)
        assert kinds(publisher) == ["ack"] * 5


async def test_a_client_that_says_so_when_all_is_answered() -> None:
    """A close frame is answered at once if no publication is on its way."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await here.connect()
        publisher.receive(publication())
        await sent(publisher, 1)
        publisher.end()
        assert here.runtime.broker.client_count == 0


async def test_a_client_that_is_lost_after_it_has_left() -> None:
    """Nothing is closed a second time if the connection is lost while answers are awaited."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        publisher, connection = await here.connect()
        far = await subscriber(there)
        publisher.receive(*numbered(5))
        ends: list[bool] = []
        connection.on_end(lambda: ends.append(True))
        publisher.lose()
        await sent(far, 5)
        assert (publisher.sent, ends) == ([], [])


async def test_a_client_that_leaves_while_others_wait() -> None:
    """What waits for its turn when the client leaves has no effect."""
    for command in ({"type": "subscribe", "topic": "t"}, "{"):
        async with open_cluster() as (here, there):
            await create(here, there, **KEPT)
            publisher, _ = await here.connect()
            publisher.receive(*numbered(2), command)
            publisher.lose()
            await turn()
            assert here.runtime.broker.subscriber_counts() == {"t": 0}
            assert publisher.sent == []


async def test_deliveries_are_charged() -> None:
    """The deliveries of a publication on its way count in the budget of the publisher."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        for _ in range(3):
            await subscriber(here)
        publisher, connection = await here.connect()
        before = connection._budget
        publisher.receive(publication())
        await sent(publisher, 1)
        assert before - connection._budget == fairness.COMMAND + 3


async def test_a_rate_limit() -> None:
    """A message over the rate is rejected in its place."""
    async with open_cluster(rate_limit=1, rate_burst=2) as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await here.connect()
        publisher.receive(*numbered(3))
        answers = await sent(publisher, 3)
        assert kinds(publisher) == ["ack", "ack", "RATE_LIMITED"]
        assert [each["request_id"] for each in answers] == ["0", "1", "2"]


async def test_too_many_malformed_messages() -> None:
    """A client that is closed for these gets all answers before."""
    async with open_cluster(max_malformed=1) as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await here.connect()
        publisher.receive(*numbered(2), "{")
        await until(lambda: publisher.closed_with)
        assert publisher.closed_with is Close.BAD_REQUEST
        assert kinds(publisher) == ["ack", "ack", "BAD_REQUEST"]


async def test_what_the_credentials_do_not_cover() -> None:
    """A publication that is not allowed is refused in its place."""
    async with open_cluster(access(Auth.REQUIRED)) as (here, there):
        for name in ("t", "other"):
            await create(here, there, name, **KEPT)
        publisher, _ = await here.connect(token=token("42", publish=["t"]))
        publisher.receive(publication(), publication("other"), publication())
        await sent(publisher, 3)
        assert kinds(publisher) == ["ack", "FORBIDDEN", "ack"]


async def test_an_authorizer_that_is_asked_meanwhile() -> None:
    """Publications keep their order if the authorizer is asked about some of them."""
    authorizer = Authorizer()
    authorizer.allowed = {"a", "b"}
    async with open_cluster(access(authorizer=authorizer)) as (here, there):
        for name in ("a", "b", "c"):
            await create(here, there, name, **KEPT)
        publisher, _ = await here.connect(user=User())
        publisher.receive(*(publication(name) for name in "aabbca"))
        await sent(publisher, 6)
        answers = [each for each in publisher.sent if each["type"] == "ack"]
        assert kinds(publisher) == ["ack", "ack", "ack", "ack", "FORBIDDEN", "ack"]
        assert [each["topic"] for each in answers] == ["a", "a", "b", "b", "a"]
        assert offsets(answers) == sorted(offsets(answers))


async def test_a_topic_without_history_does_not_wait() -> None:
    """While nothing is on its way, a publication to a topic without history is answered at once."""
    async with open_cluster() as (here, there):
        await create(here, there, **KEPT)
        await create(here, there, "plain")
        publisher, _ = await here.connect()
        publisher.receive(publication())
        await sent(publisher, 1)
        publisher.receive(publication("plain"))
        assert len(await at_once(publisher)) == 2


async def test_a_full_outbox() -> None:
    """A client that does not read its acks is not read either, and gets all of them later."""
    async with open_cluster(queue_size=4) as (here, there):
        await create(here, there, **KEPT)
        publisher, _ = await here.connect()
        publisher.writable = False
        publisher.receive(*numbered(6))
        await turn()
        publisher.receive({"type": "ping"})
        assert not publisher.reading
        publisher.drain()
        await sent(publisher, 7)
        assert kinds(publisher) == [*["ack"] * 6, "pong"]
