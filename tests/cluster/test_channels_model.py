"""A model of the channels: whatever happens, every message arrives or is reported as lost."""

import asyncio
import json
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pubsub.core.client import Client
from tests.cluster.channel_room import Process, Room, of_one_partition, turns
from tests.core.support import read

TOPICS = [*of_one_partition(2, 7), *of_one_partition(1, 8)]

which = st.integers(0, 2)


@dataclass
class Subscriber:
    """A client, what it should have got, and what it got."""

    client: Client
    process: Process
    topic: str
    owed: dict[str, list[str]] = field(default_factory=dict)
    """By process, what was accepted since the subscription was acknowledged."""
    exact: int = 0
    bound: int = 0
    missed: int = 0

    def read(self) -> None:
        """Read everything, and check each event against the losses reported before it."""
        for text in read(self.client):
            if text.startswith("{"):
                notice = json.loads(text)
                assert notice["topic"] == self.topic
                self.exact += notice.get("dropped", 0)
                self.bound += notice.get("at_most", 0)
            else:
                self._receive(text)

    def _receive(self, text: str) -> None:
        process_id = text.partition(" ")[0]
        owed = self.owed.get(process_id, [])
        assert text in owed, f"{text} was not expected, or came twice, or too late"
        missing = owed.index(text)
        del owed[: missing + 1]
        self.missed += missing
        assert self.missed <= self.exact + self.bound, f"{text} came before the notice"


class ChannelsMachine(RuleBasedStateMachine):
    """Three processes publish, lose messages and connections, and find each other again."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.room = Room(*TOPICS)
        self.processes = [self.run(self.room.start()) for _ in range(3)]
        self.subscribers: list[Subscriber] = []
        self.published = 0

    def run(self, coroutine):
        """Run until everything has arrived."""

        async def run():
            result = await coroutine
            await turns()
            return result

        return self.loop.run_until_complete(run())

    @rule(process=which, topic=which, number=st.integers(1, 3))
    def publish(self, process: int, topic: int, number: int) -> None:
        """A process accepts messages in one tick."""
        accepting = self.processes[process]
        texts = [f"{accepting.id} {self.published + index}" for index in range(number)]
        self.published += number
        for subscriber in self.subscribers:
            if subscriber.topic == TOPICS[topic]:
                subscriber.owed.setdefault(accepting.id, []).extend(texts)

        async def publish() -> None:
            accepting.publish(TOPICS[topic], *texts)

        self.run(publish())

    @rule(process=which, topic=which)
    def subscribe(self, process: int, topic: int) -> None:
        """A client subscribes."""
        if len(self.subscribers) < 8:
            serving = self.processes[process]
            client = self.run(serving.join(TOPICS[topic]))
            self.subscribers.append(Subscriber(client, serving, TOPICS[topic]))

    @rule(process=which, number=st.integers(1, 3))
    def lose(self, process: int, number: int) -> None:
        """The next messages to a process are lost."""
        self.processes[process].relay.drops = number

    @rule(process=which)
    def change_connection(self, process: int) -> None:
        """A process loses its connection, or is connected again."""
        relay = self.processes[process].relay
        if relay.is_connected:
            relay.disconnect()
        else:
            self.run(asyncio.sleep(0))

            async def connect() -> None:
                relay.connect()

            self.run(connect())

    @rule(process=which)
    def change_answers(self, process: int) -> None:
        """A process stops answering, or answers again."""
        self.processes[process].answers = not self.processes[process].answers

    @rule(process=which)
    def forget(self, process: int) -> None:
        """All others take a process for dead."""
        for other in self.processes:
            if other is not self.processes[process]:
                other.channels.forget(self.processes[process].id)

    @rule()
    def pass_by(self) -> None:
        """A second passes, with heartbeats."""
        self.run(self.room.pass_by(1))

    @invariant()
    def nothing_comes_twice_or_before_its_notice(self) -> None:
        """Events are new, in order, and behind the notices of what was lost before them."""
        for subscriber in self.subscribers:
            subscriber.read()

    def teardown(self) -> None:
        """Check the account when all are connected again."""
        try:
            self.run(self._meet_again())
            self._check_account()
            for process in self.processes:
                process.channels.close()
            self.loop.run_until_complete(asyncio.sleep(0))
        finally:
            self.loop.close()

    async def _meet_again(self) -> None:
        for process in self.processes:
            process.relay.drops = 0
            process.answers = True
            if not process.relay.is_connected:
                process.relay.connect()
        await turns()
        await self.room.pass_by(4)

    def _check_account(self) -> None:
        """Check that what did not arrive was reported: exactly, or within a bound."""
        for subscriber in self.subscribers:
            subscriber.read()
            missed = subscriber.missed + sum(map(len, subscriber.owed.values()))
            assert subscriber.exact <= missed <= subscriber.exact + subscriber.bound


ChannelsMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestChannels = ChannelsMachine.TestCase
