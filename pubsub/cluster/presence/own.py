"""The members of topics in this process, as it tells the others."""

from itertools import islice

from pubsub.cluster.names import partition_of
from pubsub.cluster.presence.messages import (
    SLICE,
    Changes,
    Said,
    State,
    channel_of,
    decode_question,
    encode,
    said_about,
)
from pubsub.cluster.presence.timers import Timers
from pubsub.core.errors import TopicError
from pubsub.core.members import Members
from pubsub.core.notices import Who
from pubsub.core.shared import SharedBroker
from pubsub.relay.base import Relay
from pubsub.turns import Turns

INTERVAL = 0.1
"""Seconds for which changes of members are collected before they are sent."""

CONFIRM_AFTER = 2.0
"""Seconds after the last message until its number is repeated, in case it was lost."""

ANSWER_BYTES = 512 * 1024
"""Bytes of members in one answer; those beyond them are left out, and `State.complete` is false."""

_OVERHEAD = 16


class OwnMembers:
    """Publishes changes of the members in this process, and answers questions about them.

    The messages about a partition have consecutive numbers, so that others notice a loss.

    Args:
        process: The id of this process.
        broker: Has the members.
        relay: Carries the messages.
        timers: Calls functions later.
    """

    def __init__(self, process: str, broker: SharedBroker, relay: Relay, timers: Timers) -> None:
        self._process = process
        self._broker = broker
        self._relay = relay
        self._timers = timers
        self._turns = Turns()
        self._changed: dict[str, set[Who]] = {}
        """Members that have changed, by topic."""
        self._sequences: dict[int, int] = {}
        """The number of the last message in each partition."""
        self._unconfirmed: set[int] = set()

    def note(self, name: str, who: Who) -> None:
        """Note that a member of a topic has changed."""
        self._changed.setdefault(name, set()).add(who)
        self._timers.later(INTERVAL, self._flush)

    def confirm_all(self) -> None:
        """Have others notice what they have missed."""
        self._unconfirmed.update(self._sequences)
        self._confirm()

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
            members = members_of(self._broker, name)
            if members is not None:
                said = [said_about(who, members.local(who)) for who in some]
                messages.setdefault(partition_of(name), {})[name] = said
        for number, topics in messages.items():
            self._sequences[number] = self._sequences.get(number, 0) + 1
            self._publish(number, topics)
        self._unconfirmed.update(messages)
        self._timers.later(CONFIRM_AFTER, self._confirm)
        if self._changed:
            self._timers.later(0.0, self._flush)

    def _confirm(self) -> None:
        """Repeat the numbers of the last messages, so that it is noticed if they were lost."""
        while self._unconfirmed:
            self._publish(self._unconfirmed.pop(), {})

    def _publish(self, number: int, topics: dict[str, list[Said]]) -> None:
        message = Changes(self._process, self._sequences[number], topics)
        self._relay.publish(channel_of(number), encode(message))

    async def answer(self, question: bytes) -> bytes:
        """Answer the question of the kind `KIND` with the members of this process in some topics.

        Raises:
            ValueError: It is no such question.
        """
        names = decode_question(question)
        numbers = {partition_of(name) for name in names}
        # What changes from here on is in a later message, too.
        sequences = {number: self._sequences.get(number, 0) for number in numbers}
        state = State(sequences, {})
        room, count = ANSWER_BYTES, 0
        for name in names:
            members = members_of(self._broker, name)
            said = state.topics[name] = []
            for member in () if members is None else members.local_members():
                room -= _OVERHEAD + 4 * len(member.who.user or "") + len(member.info)
                if room < 0:
                    state.complete = False
                    return encode(state)
                said.append(said_about(member.who, member))
                count += 1
                if not count % SLICE:
                    await self._turns.wait()
        return encode(state)

    def __repr__(self) -> str:
        return f"<OwnMembers of {self._process}, {len(self._changed)} topics have changed>"


def members_of(broker: SharedBroker, name: str) -> Members | None:
    """Return the members of a topic; ``None`` if it has no presence, or does not exist."""
    try:
        presence = broker.topic(name).presence
    except TopicError:
        return None
    return None if presence is None else presence.members
