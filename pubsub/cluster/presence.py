"""Members of topics in other processes: every process says who is connected to it.

A process publishes the changes of its own members, and receives those of others for the topics in
which it has subscribers. What a message says is absolute, so hearing it twice does no harm; where
one may be missing, all members are asked for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pubsub.cluster.names import partition_of
from pubsub.core.broker import Broker
from pubsub.core.errors import TopicError
from pubsub.core.presence import Member, Notice, Presence, Who
from pubsub.core.timer import CallLater, Timer, on_running_loop
from pubsub.relay.base import Relay
from pubsub.relay.errors import RelayError
from pubsub.turns import Turns

KIND = "presence"
"""Of the question for all members of some topics."""

INTERVAL = 0.1
"""Seconds in which the changes of this process' members are collected."""

CONFIRM_AFTER = 2.0
"""Seconds after the last message until its number is repeated, in case it was lost."""

KEEP = 5.0
"""Seconds for which the members of a topic are kept that nobody needs here any more."""

SLICE = 300
"""Members that are read or changed in one turn of the event loop: about 2 ms."""

ANSWER_BYTES = 512 * 1024
"""Bytes of members in one answer; members beyond them are left out, and `complete` is false."""

ATTEMPTS = 3
"""How often members are asked for while answers are older than what was heard already."""

_OVERHEAD = 16

Item = TypeVar("Item")

Ask = Callable[[str, bytes], Awaitable[dict[str, bytes]]]
"""Asks all other processes, and returns the answers of those that answered."""


class Said(Struct, array_like=True, frozen=True):
    """What a process says about one of its members."""

    user: str | None
    client_id: str | None
    info: bytes | None
    """``None`` if it is no member any more."""
    clients: int


class Changes(Struct, array_like=True, frozen=True):
    """A message on a partition's channel. One without topics repeats the number of the last one."""

    process: str
    sequence: int
    topics: dict[str, list[Said]]


class State(Struct, array_like=True):
    """The answer to the question for topics: all members of this process."""

    sequences: dict[int, int]
    """The number of the last message in each partition, which the members are not older than."""
    topics: dict[str, list[Said]]
    complete: bool = True


_encoder = msgspec.msgpack.Encoder()
_changes = msgspec.msgpack.Decoder(Changes)
_state = msgspec.msgpack.Decoder(State)
_names = msgspec.msgpack.Decoder(list[str])


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
        broker: A shared one, whose changes of presence are exported to here.
        relay: Carries the messages.
        ask: Asks all other processes; see `Ask`.
        call_later: Calls a function after some seconds.
    """

    def __init__(
        self,
        process: str,
        broker: Broker,
        relay: Relay,
        ask: Ask,
        *,
        call_later: CallLater = on_running_loop,
    ) -> None:
        self._process = process
        self._broker = broker
        self._relay = relay
        self._ask = ask
        self._call_later = call_later
        self._changed: dict[str, set[Who]] = {}
        """Members of this process that have changed, by topic."""
        self._sequences: dict[int, int] = {}
        """The number of the last message in each partition."""
        self._unconfirmed: set[int] = set()
        self._partitions: dict[int, _Partition] = {}
        self._candidates: set[str] = set()
        """Topics whose members may not be needed any more."""
        self._expiring: set[str] = set()
        """Those that have been candidates for `KEEP` seconds."""
        self._timers: dict[Callable[[], None], Timer] = {}
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
        if self._presence(name) is None:
            return
        partition = self._want(name)
        self._forget_later(name)
        while name not in partition.known and partition.asking is not None:
            await asyncio.wait([partition.asking])

    def on_connected(self) -> None:
        """Ask for what was missed, and let others notice what they have missed."""
        self._unconfirmed.update(self._sequences)
        self._confirm()
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
                presence = self._presence(name)
                if presence is not None:
                    for some in _slices(presence.remote_members(process)):
                        for who in some:
                            presence.set_remote(process, who, None, 0)
                        await self._turns.wait()

    async def stop(self) -> None:
        """End what goes on in the background."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- The members of this process ---

    def _export(self, name: str, who: Who) -> None:
        self._changed.setdefault(name, set()).add(who)
        self._later(INTERVAL, self._flush)
        self._want(name)
        self._forget_later(name)

    def _flush(self) -> None:
        """Publish a slice of what has changed."""
        messages: dict[int, dict[str, list[Said]]] = {}
        room = SLICE
        while self._changed and room > 0:
            name, changed = next(iter(self._changed.items()))
            some = list(islice(changed, room))
            room -= len(some)
            changed.difference_update(some)
            if not changed:
                del self._changed[name]
            presence = self._presence(name)
            if presence is not None:
                said = [_said(who, presence.local(who)) for who in some]
                messages.setdefault(partition_of(name), {})[name] = said
        for number, topics in messages.items():
            self._sequences[number] = self._sequences.get(number, 0) + 1
            self._publish(number, topics)
        self._unconfirmed.update(messages)
        self._later(CONFIRM_AFTER, self._confirm)
        if self._changed:
            self._later(0.0, self._flush)

    def _confirm(self) -> None:
        """Repeat the numbers of the last messages, so that it is noticed if they were lost."""
        while self._unconfirmed:
            self._publish(self._unconfirmed.pop(), {})

    def _publish(self, number: int, topics: dict[str, list[Said]]) -> None:
        message = Changes(self._process, self._sequences[number], topics)
        self._relay.publish(_channel(number), _encoder.encode(message))

    async def answer(self, question: bytes) -> bytes:
        """Answer the question of the kind `KIND` with the members of this process in some topics.

        Raises:
            ValueError: It is no such question.
        """
        names = _names.decode(question)
        numbers = {partition_of(name) for name in names}
        # What changes from here on is in a later message, too.
        sequences = {number: self._sequences.get(number, 0) for number in numbers}
        state = State(sequences, {})
        room, count = ANSWER_BYTES, 0
        for name in names:
            presence = self._presence(name)
            said = state.topics[name] = []
            for member in () if presence is None else presence.local_members():
                room -= _OVERHEAD + 4 * len(member.who.user or "") + len(member.info)
                if room < 0:
                    state.complete = False
                    return _encoder.encode(state)
                said.append(_said(member.who, member))
                count += 1
                if not count % SLICE:
                    await self._turns.wait()
        return _encoder.encode(state)

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
        self._later(KEEP, self._forget)

    def _forget(self) -> None:
        expiring, self._expiring, self._candidates = self._expiring, self._candidates, set()
        for name in expiring:
            presence = self._presence(name)
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
                    self._relay.unsubscribe(_channel(number))
        if self._expiring:
            self._later(KEEP, self._forget)

    def _presence(self, name: str) -> Presence | None:
        try:
            return self._broker.topic(name).presence
        except TopicError:
            return None

    # --- The members of other processes ---

    def _on_message(self, number: int, data: bytes) -> None:
        partition = self._partitions.get(number)
        if partition is None:
            return
        try:
            message = _changes.decode(data)
        except ValueError:
            return
        process, sequence, topics = message.process, message.sequence, message.topics
        heard = partition.heard.get(process)
        if heard is not None and sequence <= heard:
            return
        for name, said in topics.items():
            presence = self._presence(name) if name in partition.topics else None
            if presence is not None:
                for each in said:
                    presence.set_remote(process, _who(each), each.info, each.clients)
        partition.heard[process] = sequence
        if heard is None or not topics or sequence > heard + 1:
            self._learn(number, partition)

    def _learn(self, number: int, partition: _Partition) -> None:
        """Ask for all members, once more if they are being asked for."""
        partition.is_doubtful = True
        if partition.asking is None:
            partition.asking = self._start(self._ask_for_members(number, partition))

    async def _ask_for_members(self, number: int, partition: _Partition) -> None:
        attempts = 0
        try:
            if not partition.is_subscribed:
                partition.is_subscribed = True  # or will be with the next connection
                await self._relay.subscribe(_channel(number), partial(self._on_message, number))
            while partition.is_doubtful:
                partition.is_doubtful = False
                attempts += 1
                names = list(partition.topics)
                answers = await self._ask(KIND, _encoder.encode(names))
                for process, answer in answers.items():
                    state = _decoded(answer)
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
            pass  # they are asked for again after the next connection
        finally:
            partition.asking = None

    async def _adopt(self, partition: _Partition, process: str, state: State) -> None:
        """Replace the members of a process by its answer, in slices."""
        for name, said in state.topics.items():
            presence = self._presence(name) if name in partition.topics else None
            if presence is None:
                continue
            gone = set(presence.remote_members(process)) if state.complete else set()
            for some in _slices(said):
                for each in some:
                    who = _who(each)
                    gone.discard(who)
                    presence.set_remote(process, who, each.info, each.clients)
                await self._turns.wait()
            for gone_now in _slices(list(gone)):
                for who in gone_now:
                    presence.set_remote(process, who, None, 0)
                await self._turns.wait()

    # --- Later ---

    def _later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call a function after some seconds, unless that is about to happen."""

        def call() -> None:
            del self._timers[callback]
            callback()

        if callback not in self._timers:
            self._timers[callback] = self._call_later(delay, call)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def __repr__(self) -> str:
        return f"<RemotePresence of {self._process}, {len(self._partitions)} partitions>"


def _channel(number: int) -> str:
    return f"presence.{number}"


def _said(who: Who, member: Member | None) -> Said:
    if member is None:
        return Said(who.user, who.client_id, None, 0)
    return Said(who.user, who.client_id, member.info, member.clients)


def _decoded(answer: bytes) -> State | None:
    try:
        return _state.decode(answer)
    except ValueError:  # of another version
        return None


def _who(said: Said) -> Who:
    return Who(said.user, said.client_id)


def _slices(items: list[Item]) -> Iterator[list[Item]]:
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]
