"""Members of topics in other processes: every process says who is connected to it.

A process publishes the changes of its own members, and receives those of others for the topics in
which it has subscribers. What a message says is absolute, so hearing it twice does no harm; where
one may be missing, all members are asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

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
from pubsub.cluster.presence.own import OwnMembers, presence_of
from pubsub.cluster.presence.timers import Timers
from pubsub.core.presence import Notice, Who
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater, on_running_loop
from pubsub.relay.base import Relay
from pubsub.relay.errors import RelayError
from pubsub.turns import Turns

KIND = "presence"
"""Of the question for all members of some topics."""

KEEP = 5.0
"""Seconds for which the members of a topic are kept that nobody needs here any more."""

RETRY_AFTER = 5.0
"""Seconds until members are asked for again, when the network did not take the question."""

ATTEMPTS = 3
"""How often members are asked for while answers are older than what was heard already."""

Ask = Callable[[str, bytes], Awaitable[dict[str, bytes]]]
"""Asks all other processes, and returns the answers of those that answered."""


class _Partition:
    """The topics of a partition whose members are needed here, and the messages about them."""

    def __init__(self) -> None:
        self.topics: set[str] = set()
        self.heard: dict[str, int] = {}
        """The number of the last message of each process."""
        self.known: set[str] = set()
        """Those topics whose members were asked for."""
        self.is_subscribed = False
        self.is_doubtful = False
        """Whether messages may have been missed since the members were last asked for."""
        self.asking: asyncio.Task[None] | None = None

    def forget(self, name: str) -> None:
        """Forget a topic."""
        self.topics.discard(name)
        self.known.discard(name)


class RemotePresence:
    """Keeps the members of other processes in the presences of the broker.

    Guarantees:
        While a topic has subscribers here, its members are those of all processes, at most a moment
        ago. A change that was missed is made up for within `CONFIRM_AFTER`, and after a connection.

    Args:
        process: The id of this process.
        broker: The broker of this process; its changes of presence are exported to here.
        relay: Carries the messages.
        ask: Asks all other processes; see `Ask`.
        call_later: Calls a function after some seconds.
    """

    def __init__(
        self,
        process: str,
        broker: SharedBroker,
        relay: Relay,
        ask: Ask,
        *,
        call_later: CallLater = on_running_loop,
    ) -> None:
        self._process = process
        self._broker = broker
        self._relay = relay
        self._ask = ask
        self._timers = Timers(call_later)
        self._own = OwnMembers(process, broker, relay, self._timers)
        self._partitions: dict[int, _Partition] = {}
        self._candidates: set[str] = set()
        """Topics whose members may not be needed any more."""
        self._expiring: set[str] = set()
        """Those that have been candidates for `KEEP` seconds."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = Turns()
        broker.export_presence(self._export)

    # --- What others ask ---

    async def view(self, name: str) -> Notice:
        """Return who is subscribed to a topic in all processes; see `Broker.presence`.

        Raises:
            TopicNotFound, InvalidTopicName: The topic does not exist, or the name is invalid.
            NoPresence: The topic has no presence.
        """
        await self.prepare(name)
        return self._broker.presence(name)

    def knows(self, name: str) -> bool:
        """Return whether the members of other processes are known, or cannot be."""
        partition = self._partitions.get(partition_of(name))
        return not self._relay.is_connected or (partition is not None and name in partition.known)

    async def prepare(self, name: str) -> None:
        """Get the members of other processes, before somebody subscribes and sees them.

        They are known for at least `KEEP` seconds then. Without the network, and of processes that
        do not answer, only those are known that were heard before.
        """
        if presence_of(self._broker, name) is None:
            return
        partition = self._want(name)
        self._forget_later(name)
        while name not in partition.known and partition.asking is not None:
            await asyncio.wait([partition.asking])

    def on_connected(self) -> None:
        """Ask for what was missed, and let others notice what they have missed."""
        self._own.confirm_all()
        for number, partition in self._partitions.items():
            self._learn(number, partition)

    def on_joined(self) -> None:
        """Ask for all members, because a process is heard for the first time, or again.

        Until then no question waited for its answer, and what it said may have been missed.
        """
        for number, partition in self._partitions.items():
            self._learn(number, partition)

    def on_removed(self, name: str) -> None:
        """Forget a topic that was deleted."""
        partition = self._partitions.get(partition_of(name))
        if partition is not None:
            partition.forget(name)
            self._forget_later(name)

    def drop_process(self, process: str) -> None:
        """Forget the members of a process that has died."""
        self._start(self._drop_process(process))

    async def _drop_process(self, process: str) -> None:
        for partition in list(self._partitions.values()):
            partition.heard.pop(process, None)
            for name in list(partition.topics):
                presence = presence_of(self._broker, name)
                if presence is not None:
                    for some in slices(presence.remote_members(process)):
                        for who in some:
                            presence.set_remote(process, who, None, 0)
                        await self._turns.wait()

    async def stop(self) -> None:
        """End what goes on in the background."""
        self._timers.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- The members of this process ---

    def _export(self, name: str, who: Who) -> None:
        self._own.note(name, who)
        self._want(name)
        self._forget_later(name)

    async def answer(self, question: bytes) -> bytes:
        """Answer the question of the kind `KIND` with the members of this process in some topics.

        Raises:
            ValueError: It is no such question.
        """
        return await self._own.answer(question)

    # --- The topics whose members are needed here ---

    def _want(self, name: str) -> _Partition:
        number = partition_of(name)
        partition = self._partitions.get(number)
        if partition is None:
            partition = self._partitions[number] = _Partition()
        if name not in partition.topics:
            partition.topics.add(name)
            self._learn(number, partition)
        return partition

    def _forget_later(self, name: str) -> None:
        """Forget the members of other processes in a while, unless they are needed then."""
        self._candidates.add(name)
        self._expiring.discard(name)
        self._timers.later(KEEP, self._forget)

    def _forget(self) -> None:
        expiring, self._expiring, self._candidates = self._expiring, self._candidates, set()
        for name in expiring:
            presence = presence_of(self._broker, name)
            if presence is not None and self._broker.topic(name).subscribers:
                continue
            if presence is not None:
                presence.drop_others()
            number = partition_of(name)
            partition = self._partitions.get(number)
            if partition is not None:
                partition.forget(name)
                if not partition.topics:
                    del self._partitions[number]
                    self._relay.unsubscribe(channel_of(number))
        if self._expiring:
            self._timers.later(KEEP, self._forget)

    # --- The members of other processes ---

    def _on_message(self, number: int, data: bytes) -> None:
        partition, message = self._partitions.get(number), decode_changes(data)
        if partition is None or message is None:
            return
        process, sequence, topics = message.process, message.sequence, message.topics
        heard = partition.heard.get(process)
        if heard is not None and sequence <= heard:
            return
        for name, said in topics.items():
            presence = presence_of(self._broker, name) if name in partition.topics else None
            if presence is not None:
                for each in said:
                    presence.set_remote(process, who_of(each), each.info, each.clients)
        partition.heard[process] = sequence
        if heard is None or not topics or sequence > heard + 1:
            self._learn(number, partition)

    def _learn(self, number: int, partition: _Partition) -> None:
        """Ask for all members, once more if they are being asked for."""
        partition.is_doubtful = True
        if partition.asking is None:
            partition.asking = self._start(self._ask_for_members(number, partition))

    def _learn_doubtful(self) -> None:
        for number, partition in self._partitions.items():
            if partition.is_doubtful:
                self._learn(number, partition)

    async def _ask_for_members(self, number: int, partition: _Partition) -> None:
        attempts = 0
        try:
            if not partition.is_subscribed:
                partition.is_subscribed = True  # or will be with the next connection
                await self._relay.subscribe(channel_of(number), partial(self._on_message, number))
            while partition.is_doubtful:
                partition.is_doubtful = False
                attempts += 1
                names = list(partition.topics)
                answers = await self._ask(KIND, encode(names))
                for process, answer in answers.items():
                    state = decode_state(answer)
                    if state is None:
                        continue
                    sequence = state.sequences.get(number, 0)
                    if sequence < partition.heard.get(process, 0) and attempts < ATTEMPTS:
                        partition.is_doubtful = True
                        continue
                    partition.heard[process] = sequence
                    await self._adopt(partition, process, state)
                    partition.is_doubtful |= partition.heard.get(process) != sequence
                partition.known |= partition.topics.intersection(names)
        except RelayError:
            partition.is_doubtful = True
            self._timers.later(RETRY_AFTER, self._learn_doubtful)
        finally:
            partition.asking = None

    async def _adopt(self, partition: _Partition, process: str, state: State) -> None:
        """Replace the members of a process by its answer, in slices."""
        for name, said in state.topics.items():
            presence = presence_of(self._broker, name) if name in partition.topics else None
            if presence is None:
                continue
            gone = set(presence.remote_members(process)) if state.complete else set()
            for some in slices(said):
                for each in some:
                    who = who_of(each)
                    gone.discard(who)
                    presence.set_remote(process, who, each.info, each.clients)
                await self._turns.wait()
            for gone_now in slices(list(gone)):
                for who in gone_now:
                    presence.set_remote(process, who, None, 0)
                await self._turns.wait()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def __repr__(self) -> str:
        return f"<RemotePresence of {self._process}, {len(self._partitions)} partitions>"
