"""Who is subscribed to a topic, in this process and in others.

A member is a user, however many connections it has, or a client without a user.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from pubsub.core.client import Client
from pubsub.core.configuration import Configuration
from pubsub.core.notices import Member, Notice, Who
from pubsub.core.publication import Frame
from pubsub.core.timer import CallLater, SharedTimer

Export = Callable[[str, Who], None]
"""Called with a topic and a member of it that has changed in this process; must not call the
broker."""


class Presences:
    """What the presences of all topics of one broker share.

    Args:
        config: For how long users linger, how many members are shown, and how often.
        describe: Encodes a notice.
        clock: Returns the time in seconds.
        call_later: Calls a function after some seconds.
    """

    def __init__(
        self,
        config: Configuration,
        *,
        describe: Callable[[Notice], Frame],
        clock: Callable[[], float],
        call_later: CallLater,
    ) -> None:
        self.linger = config.presence_linger
        self.max_members = config.presence_max
        self.describe = describe
        self.clock = clock
        self.timer = SharedTimer(config.presence_interval, clock=clock, call_later=call_later)
        self.export: Export | None = None
        """Called when a member's connections to this process change; see `Members.local`."""


class _Entry:
    """One member."""

    __slots__ = ("clients", "info", "local", "processes")

    def __init__(self, info: bytes) -> None:
        self.info = info
        self.clients = 0
        """Connections to all processes."""
        self.local = 0
        """Connections to this process."""
        self.processes = 0
        """Other processes in which it is a member."""


class Members:
    """The members of one topic: those of this process, and those of others as they have said.

    Args:
        topic: The name of the topic.
        shared: What it has in common with those of other topics.
        on_change: Called with a member that has come, has left, or is described differently: with
            its info before and after, which is ``None`` if it was, or is, no member.
        on_lingering: Called when a user begins to linger: `expire` must be called later.
    """

    __slots__ = (
        *("_entries", "_lingering", "_on_change", "_on_lingering", "_others", "_shared", "_topic"),
        *("clients", "users"),
    )

    def __init__(
        self,
        topic: str,
        shared: Presences,
        *,
        on_change: Callable[[Who, bytes | None, bytes | None], None],
        on_lingering: Callable[[], None],
    ) -> None:
        self.clients = 0
        """The number of subscribers."""
        self.users = 0
        """The number of different users, including those who linger."""
        self._topic = topic
        self._shared = shared
        self._on_change = on_change
        self._on_lingering = on_lingering
        self._entries: dict[Who, _Entry] = {}
        self._lingering: OrderedDict[Who, float] = OrderedDict()
        """When each lingering user is no longer a member, the earliest first."""
        self._others: dict[str, dict[Who, Member]] = {}
        """The members of each other process that has some, as it has said."""

    # --- All members ---

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Member]:
        return (Member(who, each.info, each.clients) for who, each in self._entries.items())

    def get(self, who: Who) -> Member | None:
        """Return a member; ``None`` if it is none."""
        entry = self._entries.get(who)
        return None if entry is None else Member(who, entry.info, entry.clients)

    def info(self, who: Who) -> bytes | None:
        """Return what is known about a member; ``None`` if it is none."""
        entry = self._entries.get(who)
        return None if entry is None else entry.info

    @property
    def has_lingering(self) -> bool:
        """Whether a user lingers, so that `expire` must be called later."""
        return bool(self._lingering)

    def expire(self) -> None:
        """Remove the users who have lingered long enough."""
        if not self._lingering:
            return
        now = self._shared.clock()
        while self._lingering:
            who, deadline = next(iter(self._lingering.items()))
            if deadline > now:
                break
            del self._lingering[who]
            self._drop_unless_present(who, self._entries[who])
            self._export(who)

    # --- Subscribers ---

    def join(self, client: Client) -> None:
        """Count a new subscriber."""
        self.expire()
        self.clients += 1
        self._add(_who(client, client.user), client.info)

    def leave(self, client: Client, *, lost: bool = False) -> None:
        """Count a subscriber no more; if its connection was lost, its user may linger."""
        self.clients -= 1
        self._remove(_who(client, client.user), lingers=lost and self._shared.linger > 0)

    def identify(self, client: Client, former_user: str | None) -> None:
        """Count a subscriber as its present user, or with another info than before."""
        self._add(_who(client, client.user), client.info)
        self._remove(_who(client, former_user))

    def _add(self, who: Who, info: bytes) -> None:
        entry = self._entries.get(who)
        if entry is None:
            entry = self._new(who, info)
        else:
            self._lingering.pop(who, None)
            self._describe(who, entry, info)
        entry.clients += 1
        entry.local += 1
        self._export(who)

    def _new(self, who: Who, info: bytes) -> _Entry:
        entry = self._entries[who] = _Entry(info)
        self.users += who.user is not None
        self._on_change(who, None, info)
        return entry

    def _describe(self, who: Who, entry: _Entry, info: bytes) -> None:
        if entry.info != info:
            before, entry.info = entry.info, info
            self._on_change(who, before, info)

    def _remove(self, who: Who, *, lingers: bool = False) -> None:
        entry = self._entries[who]
        entry.clients -= 1
        entry.local -= 1
        if not entry.local:
            if lingers and who.user is not None:
                self._lingering[who] = self._shared.clock() + self._shared.linger
                self._on_lingering()
            else:
                self._drop_unless_present(who, entry)
        self._export(who)

    def _drop_unless_present(self, who: Who, entry: _Entry) -> None:
        if entry.local or entry.processes or who in self._lingering:
            return
        del self._entries[who]
        self.users -= who.user is not None
        self._on_change(who, entry.info, None)

    def _export(self, who: Who) -> None:
        if self._shared.export is not None:
            self._shared.export(self._topic, who)

    # --- This process and others ---

    def local(self, who: Who) -> Member | None:
        """Return a member with its connections to this process; ``None`` if it is none here."""
        entry = self._entries.get(who)
        if entry is None or not (entry.local or who in self._lingering):
            return None
        return Member(who, entry.info, entry.local)

    def local_members(self) -> Iterator[Member]:
        """Yield the members of this process, each as it is at that moment.

        Those who become members between two steps are left out.
        """
        self.expire()
        for who in list(self._entries):
            member = self.local(who)
            if member is not None:
                yield member

    def set_remote(self, process: str, who: Who, info: bytes | None, clients: int) -> None:
        """Note what another process says about a member.

        Args:
            process: The process.
            who: The member.
            info: What is known about the user, as in `Member`; ``None`` if it is no member there.
            clients: Its connections to that process.
        """
        others = self._others.setdefault(process, {})
        former = others.pop(who, None)
        entry = self._entries.get(who)
        if info is not None:
            if entry is None:
                entry = self._new(who, info)
            elif former is None or former.info != info:
                self._describe(who, entry, info)
            others[who] = Member(who, info, clients)
            self._count(entry, 1, clients)
        if not others:
            del self._others[process]
        if former is not None and entry is not None:
            self._count(entry, -1, -former.clients)
            self._drop_unless_present(who, entry)

    def _count(self, entry: _Entry, processes: int, clients: int) -> None:
        entry.processes += processes
        entry.clients += clients
        self.clients += clients

    def remote_members(self, process: str) -> list[Who]:
        """Return the members of another process, as far as it was heard."""
        return list(self._others.get(process, ()))

    def drop_process(self, process: str) -> None:
        """Forget what another process has said."""
        for who in self.remote_members(process):
            self.set_remote(process, who, None, 0)

    def drop_others(self) -> None:
        """Forget what all other processes have said."""
        for process in list(self._others):
            self.drop_process(process)

    def __repr__(self) -> str:
        return f"<Members of {self._topic!r}, {len(self)} members, {self.clients} subscribers>"


def _who(client: Client, user: str | None) -> Who:
    return Who(None, client.id) if user is None else Who(user, None)
