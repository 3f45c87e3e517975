"""Topics with history compared with their logs, for any sequence of faults (Hypothesis).

Whatever happens, a subscriber gets the messages of the log after its acknowledgement, in order and
without repetition, except its own; and what is missing was told.
"""

import asyncio
import json
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pubsub.cluster.journals import entries
from pubsub.cluster.journals.collection import UNUSED_SECONDS
from pubsub.cluster.names import log_of
from pubsub.core.client import Client
from pubsub.core.publication import Position
from pubsub.relay.errors import Unavailable
from tests.cluster.journal_room import EPOCH, Process, Room, settle
from tests.core.support import read

PROCESSES = 3
PROCESS = st.integers(0, PROCESSES - 1)
SMALL = st.integers(1, 4)


class Message(NamedTuple):
    """What the log contained once."""

    offset: int
    payload: int
    publisher_id: str | None


@dataclass(eq=False)
class Reader:
    """A subscriber, and what it has received since its acknowledgement."""

    process: Process
    client: Client
    since: Position
    own: tuple[str | None, ...]
    told: int
    received: dict[str, list[int]] = field(default_factory=dict)
    """Offsets by epoch, in the order of arrival."""

    epochs: list[str] = field(default_factory=list)

    def take(self) -> None:
        """Note what is queued."""
        for text in read(self.client):
            frame = json.loads(text)
            if frame["type"] == "event":
                self.received[self.epochs[-1]].append(frame["offset"])
            else:
                self.begin(frame["topic"])

    def begin(self, epoch: str) -> None:
        """Note the beginning of an epoch."""
        self.epochs.append(epoch)
        self.received[epoch] = []


class Journalists(RuleBasedStateMachine):
    """Publishers and subscribers of one topic in three processes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.epoch = EPOCH
        self.logs: dict[str, dict[int, Message]] = {EPOCH: {}}
        self.readers: list[Reader] = []
        self.gone: list[tuple[Position, str]] = []
        self.payload = 0
        self.has_evicted = False
        self.run(self.set_up())

    async def set_up(self) -> None:
        """Create the room."""
        self.room = Room(PROCESSES, queue_size=100_000)
        await self.room.create(history=5)
        await self.room.create("other")

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run something on the event loop, and note what is in the log then."""
        result = self.loop.run_until_complete(coroutine)
        self.note_log()
        return result

    def note_log(self) -> None:
        """Remember all messages that the log has ever contained."""
        for entry in self.room.network.logs[log_of("t", self.epoch)]:
            if entry.data != entries.BIRTH:
                message = entries.decode(entry.data)
                payload = json.loads(message.event)["message"]["payload"]
                noted = Message(entry.offset, payload, message.publisher_id)
                self.logs[self.epoch][entry.offset] = noted

    def told(self, process: Process) -> int:
        """Return how many messages a process has called lost."""
        return sum(at_most for _, at_most in process.gaps)

    # --- What clients do ---

    @rule(number=PROCESS, count=SMALL, once=st.booleans(), data=st.data())
    def publish(self, number: int, count: int, once: bool, data: st.DataObject) -> None:
        """Publish some messages, as a subscriber or not."""
        process = self.room.processes[number]
        here = [reader.client.id for reader in self.readers if reader.process is process]
        publisher_id = data.draw(st.sampled_from([None, *here]))

        async def publish() -> None:
            for _ in range(count):
                self.payload += 1
                message_id = f"00000000-0000-0000-0000-{self.payload:012}"
                with suppress(Unavailable):
                    await process.publish(
                        self.payload, message_id=message_id, publisher_id=publisher_id, once=once
                    )

        self.run(publish())

    @rule(number=PROCESS)
    def publish_elsewhere(self, number: int) -> None:
        """Make a hole in the offsets."""
        with suppress(Unavailable):
            self.run(self.room.processes[number].publish(0, "other"))

    @rule(number=PROCESS)
    def subscribe(self, number: int) -> None:
        """Subscribe one more client."""
        process = self.room.processes[number]
        with suppress(Unavailable):
            client = self.run(process.join())
            position = process.broker.topic("t").position
            assert position is not None
            self.add(process, client, position, (client.id,))

    def add(
        self, process: Process, client: Client, since: Position, own: tuple[str | None, ...]
    ) -> None:
        """Watch a new subscriber."""
        reader = Reader(process, client, since, own, self.told(process))
        reader.begin(since.epoch)
        self.readers.append(reader)

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """Lose a client, which knows where it was."""
        reader = data.draw(st.sampled_from(self.readers))
        reader.take()
        epoch = reader.epochs[-1]
        began = reader.since.offset if epoch == reader.since.epoch else 0
        offset = max(reader.received[epoch], default=began)
        self.gone.append((Position(epoch, offset), reader.client.id))
        reader.process.broker.disconnect(reader.client)
        self.readers.remove(reader)

    @precondition(lambda self: self.gone)
    @rule(number=PROCESS, data=st.data())
    def come_back(self, number: int, data: st.DataObject) -> None:
        """Recover on any process."""
        since, former = gone = data.draw(st.sampled_from(self.gone))
        process = self.room.processes[number]
        with suppress(Unavailable):
            client, subscribed = self.run(process.recover("t", since, former))
            begins = since if subscribed.recovered else subscribed.position
            self.add(process, client, begins, (client.id, former))
            self.gone.remove(gone)
            if since.epoch == self.epoch and not self.has_evicted:
                missed = [offset for offset in self.logs[self.epoch] if offset > since.offset]
                assert subscribed.recovered == (len(missed) <= 5)

    # --- What goes wrong ---

    @rule(number=PROCESS, drops=SMALL)
    def drop(self, number: int, drops: int) -> None:
        """Lose the next entries on their way."""
        self.room.processes[number].relay.drops = drops

    @rule(number=PROCESS)
    def lose_answer(self, number: int) -> None:
        """Lose the answer to the next publication."""
        self.room.processes[number].relay.unknown_fate = True

    @rule(number=PROCESS)
    def disconnect(self, number: int) -> None:
        """Lose the network."""
        self.room.processes[number].relay.disconnect()

    @rule(number=PROCESS, synchronizes=st.booleans())
    def connect(self, number: int, synchronizes: bool) -> None:
        """Reconnect, with or without comparing the copies."""
        process = self.room.processes[number]
        self.loop.run_until_complete(self.reconnect(process, synchronizes))

    async def reconnect(self, process: Process, synchronizes: bool) -> None:
        """Reconnect a process."""
        process.relay.connect()
        if synchronizes:
            await process.journals.synchronize()

    @rule(number=PROCESS, seconds=st.sampled_from([0.5, 5, UNUSED_SECONDS]))
    def wait(self, number: int, seconds: float) -> None:
        """Let time pass, in which copies may become unused."""
        process = self.room.processes[number]

        async def wait() -> None:
            process.clock.elapse(seconds)
            process.journals.close_unused()

        self.run(wait())

    @rule(turns=SMALL)
    def turn(self, turns: int) -> None:
        """Let some of what is on its way arrive."""
        self.run(settle(turns))

    @rule(keep=SMALL)
    def evict(self, keep: int) -> None:
        """Let the log lose its oldest entries."""
        self.has_evicted = True
        self.room.evict(keep, epoch=self.epoch)

    @rule()
    def begin_again(self) -> None:
        """Begin a new epoch, which all processes notice at once."""
        epoch = f"epoch{len(self.logs) + 1:03}"
        process = self.room.processes[0]

        async def begin_again() -> None:
            process.relay.connect()
            process.relay.unknown_fate = False
            await self.room.begin_again(epoch, notice=epoch)

        self.loop.run_until_complete(begin_again())
        self.logs[epoch] = {}
        self.epoch = epoch
        self.note_log()

    # --- What must hold ---

    @rule()
    def all_is_well_in_the_end(self) -> None:
        """With the network back, each subscriber has everything, or was notified of its losses."""

        async def heal() -> None:
            for process in self.room.processes:
                process.relay.drops = 0
                process.relay.connect()
            for process in self.room.processes:
                await process.journals.synchronize()
            await settle()

        self.run(heal())
        for reader in self.readers:
            reader.take()
            assert reader.epochs[-1] == self.epoch
            self.check(reader, self.epoch)

    @invariant()
    def nothing_is_doubled(self) -> None:
        """At any time, a subscriber has what was in the log, in order and once."""
        for reader in self.readers:
            reader.take()
            for epoch, offsets in reader.received.items():
                assert offsets == sorted(set(offsets))
                assert set(offsets) <= set(self.expected(reader, epoch))

    def expected(self, reader: Reader, epoch: str) -> list[int]:
        """Return the offsets that a subscriber should get."""
        began = reader.since.offset if epoch == reader.since.epoch else 0
        return [
            message.offset
            for message in self.logs[epoch].values()
            if message.offset > began and message.publisher_id not in reader.own
        ]

    def check(self, reader: Reader, epoch: str) -> None:
        """Check that a subscriber has everything of an epoch, or was notified of its losses."""
        missing = set(self.expected(reader, epoch)) - set(reader.received[epoch])
        assert len(missing) <= self.told(reader.process) - reader.told
        if not self.has_evicted:
            assert not missing

    def teardown(self) -> None:
        """Check everything once more, and stop."""
        try:
            self.all_is_well_in_the_end()
        finally:
            for process in self.room.processes:
                process.journals.close()
            self.loop.run_until_complete(settle())
            self.loop.close()


TestJournals = Journalists.TestCase
TestJournals.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
