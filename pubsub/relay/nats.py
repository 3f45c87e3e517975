"""A relay over NATS: channels are subjects, logs one republished stream, the registry another.

There are no consumers: a stream publishes again what it has stored, on subjects that are subscribed
to like any other, with headers that have its position. See decision 30.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from nats.aio.msg import Msg

from pubsub.relay.base import TIMEOUT, Appended, Entry, Handler, OnEntry, Snapshot
from pubsub.relay.configuration import RelayConfiguration
from pubsub.relay.errors import Conflict, Unavailable
from pubsub.relay.nats_connection import Interest, NatsConnection, Timings
from pubsub.relay.nats_stream import NatsStream
from pubsub.relay.values import RelayStatistics

MARKER_SECONDS = 3600
"""Seconds after which the registry forgets that a key was deleted."""

NOBODY = "-"
"""What no channel, key, log or stream is called."""

_NANOSECONDS = 1_000_000_000
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"


def ask_max_bytes(config: RelayConfiguration, timings: Timings | None = None) -> int | None:
    """Return the bytes of the largest message that NATS takes, or None if it cannot be reached.

    It waits, for a few seconds at most, and is for the start of a process. It may be called while
    an event loop runs, or before: its own loop is in another thread.
    """

    async def ask() -> int | None:
        connection = NatsConnection(config, timings or Timings())
        return await connection.ask_max_bytes()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, ask()).result()


class NatsRelay:
    """The way to the other processes of a room over NATS; see `base` for its promises.

    Args:
        config: The settings; ``relay`` must be set.
        history_bytes: Bytes that all logs may take; the oldest entries go first.
        max_history: Entries that a log must hold at least.
        once_seconds: Seconds in which an entry with ``once`` is appended no more than once.
        timings: Limits of time and size.
        marker_seconds: Seconds after which the deletion of a key is forgotten.
        is_logged: Whether the log says when the connection is made and lost.

    Raises:
        ValueError: A file that the settings name cannot be used.
    """

    def __init__(
        self,
        config: RelayConfiguration,
        *,
        history_bytes: int,
        max_history: int = 1000,
        once_seconds: float = 300.0,
        timings: Timings | None = None,
        marker_seconds: int = MARKER_SECONDS,
        is_logged: bool = True,
    ) -> None:
        room = config.relay_name
        self._connection = NatsConnection(config, timings or Timings(), is_logged=is_logged)
        self._channel = f"{room}.channel."
        self._log = f"{room}.log."
        self._live = f"{room}.live."
        self._key = f"$KV.{room}."
        self._change = f"{room}.registry."
        self._marker_ttl = f"{marker_seconds}s"
        common = {
            "storage": str(config.relay_storage),
            "num_replicas": config.relay_replicas,
            "allow_direct": True,
        }
        self._logs = NatsStream(
            self._connection,
            {
                **common,
                "name": f"LOG_{room}",
                "subjects": [f"{self._log}>"],
                "republish": {"src": f"{self._log}>", "dest": f"{self._live}>"},
                "discard": "old",
                "max_bytes": history_bytes,
                "max_msgs_per_subject": max_history + 1,
                "duplicate_window": int(max(once_seconds, 0.1) * _NANOSECONDS),
            },
        )
        # A bucket as NATS' own tools know it (NATS' ADR-8), so that they can show it.
        self._registry = NatsStream(
            self._connection,
            {
                **common,
                "name": f"KV_{room}",
                "subjects": [f"{self._key}>"],
                "republish": {"src": f"{self._key}>", "dest": f"{self._change}>"},
                "discard": "new",
                "max_msgs_per_subject": 1,
                "allow_rollup_hdrs": True,
                "deny_delete": True,
                "allow_msg_ttl": True,
                "duplicate_window": 2 * 60 * _NANOSECONDS,
            },
        )

        self._probe()

    def _probe(self) -> None:
        """Have each connection tried for the right to do what a process does sooner or later.

        Nothing is stored: the streams refuse a message for a stream of another name, and their
        interface a request without a body.
        """
        self._connection.probe(f"{self._channel}{NOBODY}")
        for prefix in (self._key, self._log):
            self._connection.probe(f"{prefix}{NOBODY}", {"Nats-Expected-Stream": NOBODY})
        for stream in (self._registry, self._logs):
            for action in ("STREAM.CREATE", "STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET"):
                self._connection.probe(f"$JS.API.{action}.{stream.name}")

    def __repr__(self) -> str:
        return f"<NatsRelay {self._connection!r}>"

    @property
    def is_connected(self) -> bool:
        """Whether NATS is connected and knows all subscriptions."""
        return self._connection.is_connected

    @property
    def max_bytes(self) -> int:
        """Bytes of the largest message, entry or value; a guess before the first connection."""
        return self._connection.max_bytes

    def statistics(self) -> RelayStatistics:
        """Return counters since the start."""
        return self._connection.statistics

    def start(self, handler: Handler) -> None:
        """Begin to connect; needs a running event loop."""

        def on_change(message: Msg) -> None:
            headers = message.headers or {}
            revision = _sequence(headers, "Nats-Sequence")
            if revision is None:
                return
            self._registry.note(revision)
            value = None if "KV-Operation" in headers else message.data
            handler.on_change(message.subject[len(self._change) :], value, revision)

        self._connection.add(Interest(f"{self._change}>", receive=on_change))
        self._connection.start(handler)

    async def stop(self) -> None:
        """Send what is waiting, for a second at most, and disconnect."""
        await self._connection.stop()

    # --- Channels ---

    def publish(self, channel: str, data: bytes) -> bool:
        """Publish at once; return False if the message is dropped."""
        return self._connection.publish(self._channel + channel, data)

    async def subscribe(self, channel: str, on_message: Callable[[bytes], None]) -> None:
        """Receive a channel; see `base`."""
        interest = Interest(self._channel + channel, receive_data=on_message)
        await self._connection.subscribe(interest)

    def unsubscribe(self, channel: str) -> None:
        """Receive a channel no more."""
        self._connection.unsubscribe(self._channel + channel)

    # --- Logs ---

    async def append(self, log: str, data: bytes, *, once: str | None = None) -> Appended:
        """Append to a log.

        Raises:
            Unavailable: It was not appended, or its fate is unknown.
        """
        headers = {}
        if once is not None:
            # Of a known length, and of letters that a header may have.
            name = hashlib.blake2b(f"{log} {once}".encode(), digest_size=16).hexdigest()
            headers["Nats-Msg-Id"] = name
        return Appended(*await self._logs.store(self._log + log, data, headers))

    async def follow(self, prefix: str, on_entry: OnEntry) -> None:
        """Receive the entries of all logs whose name begins with a token; see `base`."""

        def deliver(message: Msg) -> None:
            headers = message.headers or {}
            offset = _sequence(headers, "Nats-Sequence")
            previous = _sequence(headers, "Nats-Last-Sequence")
            if offset is None or previous is None:
                return
            self._logs.note(offset)
            log = message.subject[len(self._live) :]
            on_entry(log, Entry(offset, message.data), previous)

        interest = Interest(f"{self._live}{prefix}.>", receive=deliver)
        await self._connection.subscribe(interest)

    def unfollow(self, prefix: str) -> None:
        """Receive these logs no more."""
        self._connection.unsubscribe(f"{self._live}{prefix}.>")

    async def read(self, log: str, *, after: int, limit: int) -> list[Entry]:
        """Return the newest entries of a log after an offset, ``limit`` of them at most.

        Raises:
            Unavailable: They could not all be read.
        """
        if limit <= 0:
            return []
        first = await self._first_of_newest(self._log + log, after + 1, limit)
        entries: deque[Entry] = deque(maxlen=limit)
        async for page in self._logs.pages(self._log + log, first):
            entries.extend(Entry(stored.sequence, stored.data) for stored in page)
        return list(entries)

    async def _first_of_newest(self, subject: str, first: int, limit: int) -> int:
        """Return a sequence from which on there are at least ``limit`` messages, but few more.

        It is found by halving, because a stream tells how many messages follow one.
        """
        low, high = first, 0
        sequence = first
        while True:
            page, pending = await self._logs.get(subject, sequence, 1)
            count = len(page) + pending
            if sequence == first and high == 0:
                if count <= 2 * limit:
                    return first
                last = await self._logs.last(subject)
                high = last.sequence if last is not None else first
            elif count >= limit:
                low = sequence
                if count <= 2 * limit:
                    return low
            else:
                high = sequence
            if high - low <= 1:
                return low
            sequence = (low + high) // 2

    async def last_offset(self, log: str) -> int:
        """Return the offset of the last entry of a log, or 0."""
        last = await self._logs.last(self._log + log)
        return last.sequence if last is not None else 0

    async def forget(self, log: str) -> None:
        """Delete all entries of a log."""
        await self._logs.purge(self._log + log)

    # --- The registry ---

    async def snapshot(self) -> Snapshot:
        """Return the whole registry, and create the stores if they are missing.

        Raises:
            Unavailable: NATS does not answer, or refuses to store anything.
        """
        logs = await self._logs.ensure()
        registry = await self._registry.ensure()
        entries: dict[str, tuple[bytes, int]] = {}
        revision = registry.last_sequence
        async for page in self._registry.pages(f"{self._key}>", 1):
            for stored in page:
                key = stored.subject[len(self._key) :]
                if "KV-Operation" in stored.headers:
                    entries.pop(key, None)
                else:
                    entries[key] = stored.data, stored.sequence
            revision = max(revision, page[-1].sequence)
        return Snapshot(entries, revision, registry.store, logs.store, logs.last_sequence)

    async def is_intact(self, keys: int) -> bool:
        """Return whether the stores are those of the last snapshot, and were not emptied.

        If not, the next snapshot has other store ids.

        Args:
            keys: The number of keys that are known to be in the registry.

        Raises:
            Unavailable: NATS does not answer.
        """
        return await self._logs.is_intact(0) and await self._registry.is_intact(keys)

    async def create(self, key: str, value: bytes) -> int:
        """Add a key; return the revision.

        Raises:
            Conflict: It exists.
            Unavailable: It was not added, or its fate is unknown.
        """
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._create(key, value)
        except TimeoutError:
            raise Unavailable("NATS has not answered", unknown_fate=True) from None

    async def _create(self, key: str, value: bytes) -> int:
        try:
            return await self._put(key, value, 0)
        except Conflict:
            # The key may have been deleted: then there is a marker, whose revision must be named.
            last = await self._registry.last(self._key + key)
            if last is not None and "KV-Operation" not in last.headers:
                raise
            return await self._put(key, value, last.sequence if last is not None else 0)

    async def replace(self, key: str, value: bytes, revision: int) -> int:
        """Change the value of a key that has this revision; return the new one.

        Raises:
            Conflict: It has another revision.
            Unavailable: It was not changed, or its fate is unknown.
        """
        return await self._put(key, value, revision)

    async def delete(self, key: str, revision: int) -> int:
        """Delete a key that has this revision; return that of the deletion.

        Raises:
            Conflict: It has another revision.
            Unavailable: It was not deleted, or its fate is unknown.
        """
        marker = {"KV-Operation": "DEL", "Nats-TTL": self._marker_ttl}
        return await self._put(key, b"", revision, marker)

    async def _put(
        self, key: str, value: bytes, revision: int, headers: dict[str, str] | None = None
    ) -> int:
        expected = {_EXPECTED: str(revision), **(headers or {})}
        stored, _ = await self._registry.store(self._key + key, value, expected)
        return stored


def _sequence(headers: Mapping[str, str], name: str) -> int | None:
    """Return a sequence of a republished message; ``None`` if the stream has not published it."""
    value = headers.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 20 else None
