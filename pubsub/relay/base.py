"""The contract of a relay. It carries bytes, and knows neither topics nor clients.

Channel, log and key names consist of ASCII letters, digits, ``-`` and ``_``; dots separate tokens.
Handlers run on the event loop, must return at once and must not raise.

Order: what one process publishes on one channel arrives in its order. All processes see one log, and
    the registry, in one order; offsets (per log) and revisions (by exactly 1) grow with it.
Loss: a channel may lose messages, silently. A log never does while `on_entry` gets consecutive
    entries: where ``previous`` is not the last offset seen, `read` has what is missing.
Echo: own messages on a channel do not come back, so no loop can form; own entries and changes do.
Without the network: `publish` returns False and drops the message. All else raises `Unavailable`
    within `TIMEOUT`. Reconnecting never ends, restores all subscriptions, and then `on_connected`
    is called: what was missed meanwhile must be read again.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

TIMEOUT = 4.0  # seconds


class Entry(NamedTuple):
    offset: int
    data: bytes


class Appended(NamedTuple):
    offset: int
    duplicate: bool


OnEntry = Callable[
    [str, Entry, int], None
]  # the log, the entry, and the previous offset in the log


class Snapshot(NamedTuple):
    """All keys with values and revisions, as of a revision. Another store has lost its contents."""

    entries: dict[str, tuple[bytes, int]]
    revision: int
    registry_store: str
    log_store: str
    last_offset: int  # of all logs


class Handler(Protocol):
    """What a relay reports to its process."""

    def on_connected(self) -> None: ...
    def on_disconnected(self) -> None: ...
    def on_change(self, key: str, value: bytes | None, revision: int) -> None: ...


class Relay(Protocol):
    """The way to the other processes of a room; see above for its promises."""

    is_connected: bool
    max_bytes: int  # of one message

    def start(self, handler: Handler) -> None: ...
    async def stop(self) -> None: ...
    def publish(self, channel: str, data: bytes) -> bool: ...
    async def subscribe(self, channel: str, on_message: Callable[[bytes], None]) -> None: ...
    def unsubscribe(self, channel: str) -> None: ...
    async def append(self, log: str, data: bytes, *, once: str | None = None) -> Appended: ...
    async def follow(
        self, prefix: str, on_entry: OnEntry
    ) -> None: ...  # logs below one first token
    def unfollow(self, prefix: str) -> None: ...
    async def read(self, log: str, *, after: int, limit: int) -> list[Entry]: ...  # the newest ones
    async def last_offset(self, log: str) -> int: ...  # 0 if the log is empty
    async def forget(self, log: str) -> None: ...
    async def snapshot(self) -> Snapshot: ...  # also creates what is missing
    async def create(self, key: str, value: bytes) -> int: ...  # or Conflict
    async def replace(self, key: str, value: bytes, revision: int) -> int: ...  # or Conflict
    async def delete(self, key: str, revision: int) -> int: ...  # or Conflict
