"""The number of subscribers that each topic has in other processes."""

import asyncio
from collections.abc import Mapping

import msgspec

from pubsub.cluster.messenger.messenger import Messenger, NoAnswer
from pubsub.cluster.peers.beats import Count, Peer
from pubsub.core.shared import SharedBroker
from pubsub.turns import Turns

TIMEOUT = 2.0
"""Seconds to wait for all counts of another process."""

_KIND = "counts"

_APPLIED_AT_A_TIME = 1000


class Counts:
    """The counts of all other processes, and their sums.

    Args:
        messenger: Asks the others for all their counts, and answers them.
        broker: The broker of this process.
        turns: For slices of long work.
    """

    def __init__(self, messenger: Messenger, broker: SharedBroker, turns: Turns) -> None:
        self._messenger = messenger
        self._broker = broker
        self._turns = turns
        self._subscribers: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        messenger.handle(_KIND, self._answer)

    def stop(self) -> None:
        """Stop waiting for answers."""
        for task in self._tasks:
            task.cancel()

    async def settled(self) -> None:
        """Wait for the answers to all questions that were asked before, for `TIMEOUT` at most."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    def subscribers(self, topic: str) -> int:
        """Return the number of a topic's subscribers in all other processes."""
        return self._subscribers.get(topic, 0)

    def clear(self, peer: Peer) -> None:
        """Forget the counts of a process. They must be asked for when it is back."""
        peer.must_ask = True
        for topic in list(peer.counts):
            self._count(peer, topic, 0)

    def apply(self, peer: Peer, counts: Mapping[str, int]) -> None:
        """Note the new counts of some topics, from a heartbeat."""
        for topic, number in counts.items():
            self._count(peer, topic, number)
        if peer.recent is not None:
            peer.recent.update(counts)

    def _count(self, peer: Peer, topic: str, number: int) -> None:
        change = number - peer.counts.get(topic, 0)
        if number:
            peer.counts[topic] = number
        else:
            peer.counts.pop(topic, None)
        total = self._subscribers.get(topic, 0) + change
        if total:
            self._subscribers[topic] = total
        else:
            self._subscribers.pop(topic, None)

    def ask(self, peer: Peer) -> None:
        """Ask a process for all its counts. A failure sets ``must_ask`` of the peer again."""
        peer.must_ask = False
        peer.recent = set()
        task = asyncio.ensure_future(self._replace(peer, peer.recent))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _replace(self, peer: Peer, recent: set[str]) -> None:
        """Replace the counts of a process by its answer.

        Those in heartbeats since the question are newer.
        """
        try:
            answer = await self._messenger.ask(peer.id, _KIND, timeout=TIMEOUT)
            counts = msgspec.msgpack.decode(answer, type=dict[str, Count])
            known = counts | dict.fromkeys(peer.counts.keys() - counts.keys(), 0)
            for done, (topic, number) in enumerate(known.items(), 1):
                if not peer.is_alive:
                    return
                if topic not in recent:
                    self._count(peer, topic, number)
                if done % _APPLIED_AT_A_TIME == 0:
                    await self._turns.wait()
        except (NoAnswer, msgspec.MsgspecError):
            peer.must_ask = True
        finally:
            peer.recent = None

    async def _answer(self, body: bytes) -> bytes:
        counts: dict[str, int] = {}
        for topics in self._broker.topic_slices():
            counts.update((name, each.subscribers) for name, each in topics if each.subscribers)
            await self._turns.wait()
        return msgspec.msgpack.encode(counts)

    def __repr__(self) -> str:
        return f"<Counts {len(self._subscribers)} topics>"
