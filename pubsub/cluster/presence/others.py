"""The members of other processes, for the topics that are needed here."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from pubsub.cluster.names import partition_of
from pubsub.cluster.presence.messages import (
    State,
    channel_of,
    decode_changes,
    decode_state,
    encode,
    slices,
    who_of,
)
from pubsub.cluster.presence.own import members_of
from pubsub.cluster.presence.timers import Timers
from pubsub.cluster.tasks import Tasks
from pubsub.core.shared import SharedBroker
from pubsub.relay.base import Relay
from pubsub.relay.errors import RelayError
from pubsub.turns import Turns

KIND = "presence"
"""The kind of the question about all members of some topics."""

RETRY_AFTER = 5.0
"""Seconds until members are asked for again, when the network did not take the question, or a
process that is alive did not answer it."""

ATTEMPTS = 3
"""How often members are asked for, as long as answers are older than messages that have arrived."""

Ask = Callable[[str, bytes], Awaitable[Mapping[str, bytes | None]]]
"""Asks all other processes that are alive, and returns the answer of each; ``None`` if it gave
none."""


class _Partition:
    """The topics of a partition whose members are needed here, and the messages about them."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.heard: dict[str, int] = {}
        """The number of the last message of each process."""
        self.known: set[str] = set()
        """The topics whose members have been asked for."""
        self.is_subscribed = False
        self.is_doubtful = False
        """Whether messages may have been missed since the members were last asked for."""
        self.asking: asyncio.Task[None] | None = None


class OtherMembers:
    """Puts the members of other processes into the topics of the broker.

    It receives their changes, and asks for all members where it may have missed some.

    Args:
        broker: Has the topics.
        relay: Carries the messages.
        ask: Asks all other processes; see `Ask`.
        is_present: Returns whether the members of a process count. Those of one that has left or
            died do not, even if it is heard afterwards.
        timers: Calls functions later.
    """

    def __init__(
        self,
        broker: SharedBroker,
        relay: Relay,
        ask: Ask,
        is_present: Callable[[str], bool],
        timers: Timers,
    ) -> None:
        self._broker = broker
        self._relay = relay
        self._ask = ask
        self._is_present = is_present
        self._timers = timers
        self._partitions: dict[int, _Partition] = {}
        self._tasks = Tasks()
        self._turns = Turns()

    # --- Topics ---

    def want(self, name: str) -> None:
        """Get the members of a topic from now on."""
        number = partition_of(name)
        partition = self._partitions.get(number)
        if partition is None:
            partition = self._partitions[number] = _Partition()
        if name not in partition.topics:
            partition.topics.add(name)
            self._learn(number, partition)

    def knows(self, name: str) -> bool:
        """Return whether the other processes were asked for the members of a topic."""
        partition = self._partitions.get(partition_of(name))
        return partition is not None and name in partition.known

    async def wait_until_known(self, name: str) -> None:
        """Wait for the members of a topic that is wanted, as long as others are being asked."""
        partition = self._partitions[partition_of(name)]
        while name not in partition.known and partition.asking is not None:
            await asyncio.wait([partition.asking])

    def forget(self, name: str) -> None:
        """Get the members of a topic no more. They are asked for again when it is wanted again."""
        partition = self._partitions.get(partition_of(name))
        if partition is not None:
            partition.topics.discard(name)
            partition.known.discard(name)

    def release(self, name: str) -> None:
        """Forget a topic, and leave its partition if that has no other topic."""
        self.forget(name)
        number = partition_of(name)
        partition = self._partitions.get(number)
        if partition is not None and not partition.topics:
            del self._partitions[number]
            self._relay.unsubscribe(channel_of(number))

    # --- Processes ---

    def learn_all(self) -> None:
        """Ask for all members, because changes may have been missed."""
        for number, partition in self._partitions.items():
            self._learn(number, partition)

    def drop_process(self, process: str) -> None:
        """Forget the members of a process that has left or died, and is no longer present."""
        for partition in self._partitions.values():
            partition.heard.pop(process, None)
        self._tasks.start(self._drop_process(process))

    async def _drop_process(self, process: str) -> None:
        for number, partition in list(self._partitions.items()):
            for name in list(partition.topics):
                members = members_of(self._broker, name)
                if members is not None:
                    for some in slices(members.remote_members(process)):
                        for who in some:
                            members.set_remote(process, who, None, 0)
                        await self._turns.wait()
            if process in partition.heard:  # it is back, and what it said has just been dropped
                self._learn(number, partition)

    async def stop(self) -> None:
        """Ask for nothing any more."""
        await self._tasks.stop()

    # --- Messages and answers ---

    def _on_message(self, number: int, data: bytes) -> None:
        partition, message = self._partitions.get(number), decode_changes(data)
        if partition is None or message is None:
            return
        process, sequence, topics = message.process, message.sequence, message.topics
        if not self._is_present(process):
            return  # all its members are asked for when it joins
        heard = partition.heard.get(process)
        if heard is not None and sequence <= heard:
            return
        for name, said in topics.items():
            members = members_of(self._broker, name) if name in partition.topics else None
            if members is not None:
                for each in said:
                    members.set_remote(process, who_of(each), each.info, each.clients)
        partition.heard[process] = sequence
        if heard is None or not topics or sequence > heard + 1:
            self._learn(number, partition)

    def _learn(self, number: int, partition: _Partition) -> None:
        """Ask for all members, once more if they are being asked for."""
        partition.is_doubtful = True
        if partition.asking is None:
            partition.asking = self._tasks.start(self._ask_for_members(number, partition))

    def _learn_doubtful(self) -> None:
        for number, partition in self._partitions.items():
            if partition.is_doubtful:
                self._learn(number, partition)

    async def _ask_for_members(self, number: int, partition: _Partition) -> None:
        attempts, is_answered = 0, True
        try:
            if not partition.is_subscribed:
                partition.is_subscribed = True  # or will be with the next connection
                await self._relay.subscribe(channel_of(number), partial(self._on_message, number))
            while partition.is_doubtful and partition.topics:
                partition.is_doubtful = False
                attempts += 1
                is_answered = await self._ask_once(number, partition, attempts)
        except RelayError:
            is_answered = False
        finally:
            partition.asking = None
        if not is_answered:
            partition.is_doubtful = True
            self._timers.later(RETRY_AFTER, self._learn_doubtful)

    async def _ask_once(self, number: int, partition: _Partition, attempt: int) -> bool:
        """Ask all processes for their members, and return whether each has answered."""
        names = list(partition.topics)
        answers = await self._ask(KIND, encode(names))
        is_answered = True
        for process, answer in answers.items():
            if not self._is_present(process):
                continue
            if answer is None:
                is_answered = False
                continue
            state = decode_state(answer)
            if state is None:
                continue
            sequence = state.sequences.get(number, 0)
            if sequence < partition.heard.get(process, 0) and attempt < ATTEMPTS:
                partition.is_doubtful = True
                continue
            partition.heard[process] = sequence
            await self._adopt(partition, process, state)
            partition.is_doubtful |= partition.heard.get(process) != sequence
        partition.known |= partition.topics.intersection(names)
        return is_answered

    async def _adopt(self, partition: _Partition, process: str, state: State) -> None:
        """Replace the members of a process by its answer, in slices, while it is present."""
        for name, said in state.topics.items():
            members = members_of(self._broker, name) if name in partition.topics else None
            if members is None:
                continue
            gone = set(members.remote_members(process)) if state.complete else set()
            for some in slices(said):
                if not self._is_present(process):
                    return
                for each in some:
                    who = who_of(each)
                    gone.discard(who)
                    members.set_remote(process, who, each.info, each.clients)
                await self._turns.wait()
            for gone_now in slices(list(gone)):
                for who in gone_now:
                    members.set_remote(process, who, None, 0)
                await self._turns.wait()

    def __repr__(self) -> str:
        return f"<OtherMembers, {len(self._partitions)} partitions>"
