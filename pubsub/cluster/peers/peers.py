"""The other processes of a room: which are alive, and what their heartbeats say."""

import asyncio
import time
from collections.abc import Callable
from itertools import islice

import msgspec

from pubsub.cluster.messenger.messenger import Messenger
from pubsub.cluster.peers.beats import Beat, Peer, Totals
from pubsub.cluster.peers.counts import Counts
from pubsub.core.shared import SharedBroker
from pubsub.core.timer import CallLater, Timer, on_running_loop
from pubsub.relay.base import Relay
from pubsub.turns import Turns

INTERVAL = 1.0
"""Seconds between two heartbeats."""

GREETING_DELAY = 0.05
"""Seconds until a new process gets a heartbeat of this one, so that many of them need only one."""

ALIVE_SECONDS = 6.0
"""A process that has been silent for longer was killed, or hangs: it is left out of all figures."""

PRESENT_SECONDS = 18.0
"""The clients of a process that was silent for longer are no longer present. That is noticed at
the next heartbeat, and is in the next notice of presence: 20 seconds after the last heartbeat."""

CUT_OFF_SECONDS = 21.0
"""The same while this process has no network, and shortly after: the others are probably alive."""

GRACE = 3.0
"""Seconds after the network's return in which the others are heard again."""

MAX_COUNTS = 1000
"""Topics whose counts are sent in one heartbeat; if there are more, several heartbeats follow."""

GREETING_TIME = 0.2
"""Seconds in which the others answer the first heartbeat of a process with one of their own."""

CHANNEL = "beat"

_BYTES_OF_COUNT = 1024
"""More than one count takes: the longest name has 128 characters, which are at most 512 bytes."""


class Peers:
    """Sends a heartbeat each second, and keeps track of those of other processes.

    A process joins with its first heartbeat (`on_joined`), which all others answer with one of
    theirs. It is left out of all figures after `ALIVE_SECONDS` of silence (`on_left`), and is
    forgotten after `PRESENT_SECONDS` (`on_gone`). One that stops sends a last heartbeat, and is
    left out and forgotten at once. Without the network all others are silent, and are forgotten
    after `CUT_OFF_SECONDS`. Time in which this process itself was held up does not count.

    A heartbeat carries the numbers of subscribers that have changed, which the broker notes. After
    a lost heartbeat all numbers are asked for.

    Args:
        process_id: The id of this process.
        relay: The way to the others.
        messenger: Asks them for their counts.
        broker: The broker of this process.
        turns: For slices of long work.
        serves: Whether clients can connect to this process.
        positions: Returns the last sequence of this process in each partition.
        on_positions: Called with a process, its positions and its age in seconds, at each of its
            heartbeats.
        on_joined: Called with a process that is alive, and was not before.
        on_left: Called with a process that is no longer alive.
        on_gone: Called, after `on_left`, with a process whose clients are no longer present.
        clock: Returns the time in seconds.
        call_later: Sets the timer.
    """

    def __init__(
        self,
        process_id: str,
        relay: Relay,
        messenger: Messenger,
        broker: SharedBroker,
        *,
        turns: Turns,
        serves: bool = True,
        positions: Callable[[], dict[int, int]] = dict,
        on_positions: Callable[[str, dict[int, int], float], None] | None = None,
        on_joined: Callable[[str], None] | None = None,
        on_left: Callable[[str], None] | None = None,
        on_gone: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        call_later: CallLater = on_running_loop,
    ) -> None:
        self._process_id = process_id
        self._relay = relay
        self._broker = broker
        self._serves = serves
        self._positions = positions
        self._on_positions = on_positions or _ignore
        self._on_joined = on_joined or _ignore
        self._on_left = on_left or _ignore
        self._on_gone = on_gone or _ignore
        self._clock = clock
        self._call_later = call_later
        self._peers: dict[str, Peer] = {}
        self._counts = Counts(messenger, broker, turns)
        self._number = 0
        self._timer: Timer | None = None
        self._greeting: Timer | None = None
        self._looked = clock()
        self._cut_off: float | None = None

    async def start(self) -> None:
        """Begin with the heartbeats. It may be called again, after it has failed.

        Raises:
            Unavailable: The relay did not take the subscription; the heartbeats have begun.
        """
        if self._timer is None:
            self._looked = self._clock()
            self._timer = self._call_later(INTERVAL, self._tick)
        await self._relay.subscribe(CHANNEL, self._on_beat)
        self.beat_now()

    async def meet(self) -> None:
        """Wait until the others have had time for a heartbeat, and to answer with their counts.

        The counts of those that do not answer are asked for again, but not waited for.
        """
        await asyncio.sleep(GREETING_TIME)
        await self._counts.settled()

    def stop(self) -> None:
        """Notify the others that this process leaves, and send and receive nothing more."""
        self._beat(is_leaving=True)
        for timer in (self._timer, self._greeting):
            if timer is not None:
                timer.cancel()
        self._timer = self._greeting = None
        self._relay.unsubscribe(CHANNEL)
        self._counts.stop()

    # --- What is known about the others ---

    @property
    def alive(self) -> list[Peer]:
        """The other processes that are alive, sorted by id."""
        alive = (peer for peer in self._peers.values() if peer.is_alive)
        return sorted(alive, key=lambda peer: peer.id)

    @property
    def present(self) -> set[str]:
        """The ids of the other processes whose clients count as present."""
        return set(self._peers)

    def is_present(self, process_id: str) -> bool:
        """Return whether the clients of another process count as present."""
        return process_id in self._peers

    def remote_subscribers(self, topic: str) -> int:
        """Return the number of a topic's subscribers in other processes, as of a moment ago."""
        return self._counts.subscribers(topic)

    # --- Heartbeats of this process ---

    def _tick(self) -> None:
        self._timer = self._call_later(INTERVAL, self._tick)
        self._look()
        self.beat_now()

    def beat_now(self) -> None:
        """Send a heartbeat in addition to the regular ones."""
        self._beat(is_leaving=False)

    def _greet(self) -> None:
        self._greeting = None
        self.beat_now()

    def _beat(self, *, is_leaving: bool) -> None:
        counts = iter(self._broker.take_changed_counts().items())
        if not self._relay.is_connected:
            self._number += 1  # so that the others notice that they have missed the counts
            return
        totals = Totals.of(self._broker.statistics())
        size = max(1, min(MAX_COUNTS, self._relay.max_bytes // _BYTES_OF_COUNT))
        some = dict(islice(counts, size))
        while True:
            self._number += 1
            beat = Beat(
                self._process_id,
                self._number,
                self._serves,
                is_leaving,
                totals,
                self._positions(),
                some,
            )
            self._relay.publish(CHANNEL, msgspec.msgpack.encode(beat))
            some = dict(islice(counts, size))
            if not some:
                return

    def _look(self) -> None:
        """Find the processes that have been silent for too long."""
        now = self._clock()
        held_up = now - self._looked - INTERVAL
        self._looked = now
        if not self._relay.is_connected:
            self._cut_off = now
        is_cut_off = self._cut_off is not None and now - self._cut_off <= GRACE
        longest = CUT_OFF_SECONDS if is_cut_off else PRESENT_SECONDS
        for peer in list(self._peers.values()):
            if held_up > INTERVAL:  # then their heartbeats may wait to be read
                peer.silent_since += held_up
            silence = now - peer.silent_since
            if peer.is_alive and silence > ALIVE_SECONDS:
                self._leave(peer)
            if silence > longest:
                self._forget(peer)

    def _leave(self, peer: Peer) -> None:
        peer.is_alive = False
        self._counts.clear(peer)
        self._on_left(peer.id)

    def _forget(self, peer: Peer) -> None:
        del self._peers[peer.id]
        self._on_gone(peer.id)

    # --- Heartbeats of others ---

    def _on_beat(self, data: bytes) -> None:
        try:
            beat = msgspec.msgpack.decode(data, type=Beat)
        except msgspec.MsgspecError:
            return  # of another version of the program
        peer = self._peers.get(beat.process)
        if beat.is_leaving:
            self._on_leaving(beat, peer)
            return
        if peer is None:
            peer = self._peers[beat.process] = Peer(beat.process)
        peer.must_ask |= beat.number != peer.number + 1
        peer.number = beat.number
        peer.heard = peer.silent_since = self._clock()
        peer.serves, peer.totals = beat.serves, beat.totals
        has_joined = not peer.is_alive
        peer.is_alive = True
        self._counts.apply(peer, beat.counts)
        if has_joined:
            self._on_joined(peer.id)
            if self._greeting is None:
                self._greeting = self._call_later(GREETING_DELAY, self._greet)
        self._on_positions(peer.id, beat.positions, beat.totals.uptime)
        if peer.must_ask and peer.recent is None:
            self._counts.ask(peer)

    def _on_leaving(self, beat: Beat, peer: Peer | None) -> None:
        # First its last positions: from them follows what was lost just before it left.
        self._on_positions(beat.process, beat.positions, beat.totals.uptime)
        if peer is None:
            self._on_gone(beat.process)
            return
        if peer.is_alive:
            self._leave(peer)
        self._forget(peer)

    def __repr__(self) -> str:
        return f"<Peers {self._process_id}, {len(self._peers)} others>"


def _ignore(*arguments: object) -> None:
    """Do nothing."""
