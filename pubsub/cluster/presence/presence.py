"""Members of topics in other processes: every process tells who is connected to it.

A process publishes the changes of its own members, and receives those of others for the topics in
which it has subscribers. A message has the new state of a member, so a second copy does no harm;
where a message may be missing, all members are asked for.
"""

from collections.abc import Callable

from pubsub.cluster.presence.others import Ask, OtherMembers
from pubsub.cluster.presence.own import OwnMembers, members_of
from pubsub.cluster.presence.timers import Timers
from pubsub.core.notices import Notice, Who
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater, on_running_loop
from pubsub.relay.base import Relay

KEEP = 5.0
"""Seconds for which the members of a topic are kept after they were last needed here."""


class RemotePresence:
    """Keeps the members of other processes in the topics of the broker.

    Guarantees:
        While a topic has subscribers here, its members are those of all processes, at most a moment
        ago. A change that was missed is made up for within `CONFIRM_AFTER`, and after a connection;
        if a process does not answer then, it is asked again every `RETRY_AFTER`. The members of a
        process that is not present are not kept.

    Args:
        process: The id of this process.
        broker: The broker of this process; its changes of presence are exported to here.
        relay: Carries the messages.
        ask: Asks all other processes; see `Ask`.
        is_present: Returns whether the clients of another process count as present.
        call_later: Calls a function after some seconds.
    """

    def __init__(
        self,
        process: str,
        broker: SharedBroker,
        relay: Relay,
        ask: Ask,
        *,
        is_present: Callable[[str], bool],
        call_later: CallLater = on_running_loop,
    ) -> None:
        self._process = process
        self._broker = broker
        self._relay = relay
        self._ask = ask
        self._timers = Timers(call_later)
        self._own = OwnMembers(process, broker, relay, self._timers)
        self._others = OtherMembers(broker, relay, ask, is_present, self._timers)
        self._candidates: set[str] = set()
        """Topics whose members may not be needed any more."""
        self._expiring: set[str] = set()
        """Those that have been candidates for `KEEP` seconds."""
        broker.export_presence(self._export)

    # --- Who is subscribed ---

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
        return not self._relay.is_connected or self._others.knows(name)

    async def prepare(self, name: str) -> None:
        """Get the members of other processes, before a client subscribes and sees them.

        They stay known for at least `KEEP` seconds. Without the network, and of processes that have
        not answered yet, only members are known of which a message has arrived before.
        """
        if members_of(self._broker, name) is not None:
            self._others.want(name)
            self._forget_later(name)
            await self._others.wait_until_known(name)

    async def answer(self, question: bytes) -> bytes:
        """Answer the question of the kind `KIND` with the members of this process in some topics.

        Raises:
            ValueError: It is no such question.
        """
        return await self._own.answer(question)

    # --- What happens elsewhere ---

    def on_connected(self) -> None:
        """Ask for what was missed, and have others notice what they have missed."""
        self._own.confirm_all()
        self._others.learn_all()

    def on_joined(self) -> None:
        """Ask for all members, because another process is alive, and was not before.

        Until then no question waited for its answer, and its messages may have been missed.
        """
        self._others.learn_all()

    def on_removed(self, name: str) -> None:
        """Forget a topic that was deleted."""
        self._others.forget(name)
        self._forget_later(name)

    def drop_process(self, process: str) -> None:
        """Forget the members of a process that is no longer present."""
        self._others.drop_process(process)

    async def stop(self) -> None:
        """End all background work."""
        self._timers.stop()
        await self._others.stop()

    # --- What is needed here ---

    def _export(self, name: str, who: Who) -> None:
        self._own.note(name, who)
        self._others.want(name)
        self._forget_later(name)

    def _forget_later(self, name: str) -> None:
        """Forget the members of other processes in a while, unless they are needed then."""
        self._candidates.add(name)
        self._expiring.discard(name)
        self._timers.later(KEEP, self._forget)

    def _forget(self) -> None:
        expiring, self._expiring, self._candidates = self._expiring, self._candidates, set()
        for name in expiring:
            members = members_of(self._broker, name)
            if members is not None and self._broker.topic(name).subscribers:
                continue
            if members is not None:
                members.drop_others()
            self._others.release(name)
        if self._expiring:
            self._timers.later(KEEP, self._forget)

    def __repr__(self) -> str:
        return f"<RemotePresence of {self._process}, {self._others!r}>"
