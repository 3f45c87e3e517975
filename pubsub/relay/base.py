"""The contract of a relay. It carries bytes, and knows neither topics nor clients.

Names consist of ASCII letters, digits, ``-`` and ``_``; channels and logs of such tokens and dots.
Handlers run on the event loop, must return at once and must not raise.

Order: what one process publishes on one channel arrives in its order, and what it appends to one
    log, in the order in which the calls begin, has that order too. All processes see one log, and
    the registry, in one order; offsets (per log) and revisions (by exactly 1) grow with it.
Loss: a channel may lose messages, silently. A log never does while `OnEntry` gets consecutive
    entries: where ``previous`` is not the last offset seen, `read` has what is missing.
Deletions: `create` adds a key that was deleted; `replace` with revision 0 does not, only one that
    was never there. A relay may forget deletions after an hour.
Echo: own messages on a channel do not come back, so no loop can form; own entries and changes do.
Without the network: `publish` returns False and drops the message. All else raises `Unavailable`
    within `TIMEOUT` seconds. Reconnecting never ends, restores all subscriptions, and then
    `on_connected` is called: what was missed meanwhile must be read again.
"""

from collections.abc import Callable
from typing import Protocol

from pubsub.relay.values import Appended as Appended
from pubsub.relay.values import Entry as Entry
from pubsub.relay.values import RelayStatistics as RelayStatistics
from pubsub.relay.values import Snapshot as Snapshot

TIMEOUT = 4.0
OnEntry = Callable[[str, Entry, int], None]
"""Gets a log, its entry, and the offset of the previous one; 0 if the log has none (any more)."""


class Handler(Protocol):  # what a relay reports to its process
    def on_connected(self) -> None: ...
    def on_disconnected(self) -> None: ...
    def on_change(self, key: str, value: bytes | None, revision: int) -> None: ...


class Relay(Protocol):  # the way to the other processes of a room
    @property
    def is_connected(self) -> bool: ...
    @property
    def max_bytes(self) -> int: ...  # of one message, entry or value
    def statistics(self) -> RelayStatistics: ...
    def start(self, handler: Handler) -> None: ...
    async def stop(self) -> None: ...
    def publish(self, channel: str, data: bytes) -> bool: ...
    async def subscribe(self, channel: str, on_message: Callable[[bytes], None]) -> None: ...
    def unsubscribe(self, channel: str) -> None: ...
    async def append(self, log: str, data: bytes, *, once: str | None = None) -> Appended: ...
    async def follow(self, prefix: str, on_entry: OnEntry) -> None: ...  # a log's first token
    def unfollow(self, prefix: str) -> None: ...
    async def read(self, log: str, *, after: int, limit: int) -> list[Entry]: ...  # the newest
    async def last_offset(self, log: str) -> int: ...  # 0 if the log is empty
    async def forget(self, log: str) -> None: ...
    async def snapshot(self) -> Snapshot: ...  # also creates the stores if they are missing
    async def is_intact(self, keys: int) -> bool: ...  # False: a snapshot shows what was lost
    async def create(self, key: str, value: bytes) -> int: ...  # returns the revision, or Conflict
    async def replace(self, key: str, value: bytes, revision: int) -> int: ...  # likewise
    async def delete(self, key: str, revision: int) -> int: ...  # likewise
