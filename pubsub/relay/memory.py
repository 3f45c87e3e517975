"""A relay between brokers in one process, for tests, with the faults of a network."""

import asyncio
from collections.abc import Callable
from itertools import count

from pubsub.relay.base import Appended, Entry, Handler, OnEntry, Snapshot
from pubsub.relay.errors import Conflict, Unavailable
from pubsub.relay.values import RelayStatistics


class MemoryNetwork:
    """What the relays of one room have in common. Everything arrives in the next turn."""

    def __init__(self) -> None:
        self.relays: list[MemoryRelay] = []
        self._stores = count(1)
        self.lose_stores()

    def lose_stores(self) -> None:
        """Empty the registry and all logs, as a restart without storage does."""
        self.store = f"store-{next(self._stores)}"
        self.registry: dict[str, tuple[bytes | None, int]] = {}
        self.revision = 0
        self.logs: dict[str, list[Entry]] = {}
        self.offset = 0
        self.once: dict[tuple[str, str], int] = {}

    def relay(self) -> "MemoryRelay":
        """Return the relay of one more process."""
        relay = MemoryRelay(self)
        self.relays.append(relay)
        return relay

    def change(self, key: str, value: bytes | None) -> int:
        """Change the registry, and notify all processes."""
        self.revision += 1
        self.registry[key] = value, self.revision
        for relay in self.relays:
            relay.receive_change(key, value, self.revision)
        return self.revision

    def append(self, log: str, data: bytes) -> int:
        """Append to a log, and notify all processes."""
        entries = self.logs.setdefault(log, [])
        previous = entries[-1].offset if entries else 0
        self.offset += 1
        entries.append(Entry(self.offset, data))
        for relay in self.relays:
            relay.receive_entry(log, entries[-1], previous)
        return self.offset


class MemoryRelay:
    """One process's way to the others. It starts disconnected; see `connect`."""

    def __init__(self, network: MemoryNetwork) -> None:
        self.is_connected = False
        self.max_bytes = 1 << 20
        self.drops = 0
        """The number of messages and entries from others that are lost next on their way here."""
        self.unknown_fate = False
        """Whether the answer to the next change is lost, though it is carried out."""
        self._network = network
        self._connections = 0
        self._store = ""
        self._handler: Handler | None = None
        self._channels: dict[str, Callable[[bytes], None]] = {}
        self._follows: dict[str, OnEntry] = {}

    # --- What a test does ---

    def connect(self) -> None:
        """Connect, or connect again."""
        self.is_connected = True
        self._connections += 1
        assert self._handler is not None  # noqa: S101  # it was started
        self._soon(self._handler.on_connected)

    def disconnect(self) -> None:
        """Lose the connection."""
        self.is_connected = False
        assert self._handler is not None  # noqa: S101  # it was started
        self._handler.on_disconnected()

    # --- What the network does ---

    def _soon(self, function: Callable[..., None], *arguments: object) -> None:
        asyncio.get_running_loop().call_soon(function, *arguments)

    def _loses(self) -> bool:
        if not self.is_connected:
            return True
        if self.drops:
            self.drops -= 1
            return True
        return False

    def receive(self, channel: str, data: bytes) -> None:
        """Receive a message of another process."""
        on_message = self._channels.get(channel)
        if on_message is not None and not self._loses():
            self._soon(self._deliver, channel, on_message, data)

    def _deliver(self, channel: str, on_message: Callable[[bytes], None], data: bytes) -> None:
        """Deliver a message, unless the subscription has ended meanwhile."""
        if self._channels.get(channel) is on_message:
            on_message(data)

    def receive_entry(self, log: str, entry: Entry, previous: int) -> None:
        """Receive an entry of a log."""
        on_entry = self._follows.get(log.partition(".")[0])
        if on_entry is not None and not self._loses():
            self._soon(on_entry, log, entry, previous)

    def receive_change(self, key: str, value: bytes | None, revision: int) -> None:
        """Receive a change of the registry."""
        if self.is_connected and self._handler is not None:
            self._soon(self._handler.on_change, key, value, revision)

    # --- What a process does ---

    def statistics(self) -> RelayStatistics:
        """Return nothing but the state, and how often it was restored."""
        reconnections = max(0, self._connections - 1)
        return RelayStatistics(self.is_connected, reconnections, 0, 0, 0, 0, {}, 0)

    def start(self, handler: Handler) -> None:
        self._handler = handler

    async def stop(self) -> None:
        self.is_connected = False
        self._network.relays.remove(self)

    def publish(self, channel: str, data: bytes) -> bool:
        if self.is_connected:
            for relay in self._network.relays:
                if relay is not self:
                    relay.receive(channel, data)
        return self.is_connected

    async def subscribe(self, channel: str, on_message: Callable[[bytes], None]) -> None:
        self._channels[channel] = on_message
        await self._reach()

    def unsubscribe(self, channel: str) -> None:
        self._channels.pop(channel, None)

    async def append(self, log: str, data: bytes, *, once: str | None = None) -> Appended:
        await self._reach()
        if once is not None and (log, once) in self._network.once:
            return Appended(self._network.once[log, once], duplicate=True)
        offset = self._network.append(log, data)
        if once is not None:
            self._network.once[log, once] = offset
        self._answer()
        return Appended(offset, duplicate=False)

    async def follow(self, prefix: str, on_entry: OnEntry) -> None:
        self._follows[prefix] = on_entry
        await self._reach()

    def unfollow(self, prefix: str) -> None:
        self._follows.pop(prefix, None)

    async def read(self, log: str, *, after: int, limit: int) -> list[Entry]:
        await self._reach()
        newer = [entry for entry in self._network.logs.get(log, ()) if entry.offset > after]
        return newer[max(0, len(newer) - limit) :]

    async def last_offset(self, log: str) -> int:
        await self._reach()
        entries = self._network.logs.get(log)
        return entries[-1].offset if entries else 0

    async def forget(self, log: str) -> None:
        await self._reach()
        self._network.logs.pop(log, None)

    async def snapshot(self) -> Snapshot:
        await self._reach()
        network = self._network
        self._store = network.store
        present = {
            key: (value, revision)
            for key, (value, revision) in network.registry.items()
            if value is not None
        }
        return Snapshot(present, network.revision, network.store, network.store, network.offset)

    async def is_intact(self, keys: int) -> bool:
        await self._reach()
        return self._store == self._network.store

    async def create(self, key: str, value: bytes) -> int:
        await self._reach()
        if self._network.registry.get(key, (None, 0))[0] is not None:
            raise Conflict(key)
        return self._answer(self._network.change(key, value))

    async def replace(self, key: str, value: bytes, revision: int) -> int:
        return await self._change(key, value, revision)

    async def delete(self, key: str, revision: int) -> int:
        return await self._change(key, None, revision)

    async def _change(self, key: str, value: bytes | None, revision: int) -> int:
        await self._reach()
        if self._network.registry.get(key, (None, 0))[1] != revision:
            raise Conflict(key)
        return self._answer(self._network.change(key, value))

    async def _reach(self) -> None:
        """Wait for a turn, as for an answer of the network."""
        await asyncio.sleep(0)
        if not self.is_connected:
            raise Unavailable("not connected")

    def _answer(self, revision: int = 0) -> int:
        if self.unknown_fate:
            self.unknown_fate = False
            raise Unavailable("the answer was lost", unknown_fate=True)
        return revision
