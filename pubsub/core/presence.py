"""Who is subscribed to a topic, and the notices about it.

A member is a user, however many connections it has, or a client without a user. Every subscriber of
a topic with presence is counted; those that asked for notices are the watchers. Of all that happens
in an interval, a watcher learns the net result at its end, from a frame that it shares with every
watcher that knew the same before.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pubsub.core.client import Client
from pubsub.core.configuration import Configuration
from pubsub.core.publication import Frame
from pubsub.core.timer import CallLater, SharedTimer

_BEHIND = -1
"""In place of what a watcher knows: it has missed a notice, and gets all members next."""

_CHANGES_PER_MEMBER = 4
"""Changes in one interval that are kept, as a multiple of the largest number of members."""


class Who(NamedTuple):
    """Identifies a member; exactly one of the two is not ``None``."""

    user: str | None
    client_id: str | None


class Member(NamedTuple):
    """A member, as it is shown."""

    who: Who

    info: bytes
    """What is known about the user, as a JSON object; empty if the member is no user."""

    clients: int
    """The number of its connections; 0 for a user who lingers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Who is subscribed to a topic (``members``), or what has changed (``joined`` and ``left``).

    If there are too many members, it has neither.
    """

    topic: str

    clients: int
    """The number of subscribers."""

    users: int
    """The number of different users, including those who linger."""

    members: list[Member] | None = None

    joined: list[Member] | None = None
    """New members, and members with a new ``info``."""

    left: list[Who] | None = None


Export = Callable[[str, Who], None]
"""Is told that a member of a topic has changed, and must not call the broker."""


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
        """Called when a member's connections to this process change; see `Presence.local`."""


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


class _Changes:
    """Changes from one moment to the next at which a watcher came, or the interval ended."""

    __slots__ = ("before", "truncated")

    def __init__(self, truncated: bool) -> None:
        self.truncated = truncated
        """Whether there were too many members at the first of the two moments."""
        self.before: dict[Who, bytes | None] = {}
        """The info that each changed member had at that moment; ``None`` if it was not there."""


class Presence:
    """The members of one topic, and the subscribers that are notified when members come and go.

    Guarantees:
        A watcher that applies each notice to what `watch` returned knows the members as they were
        at the time of the notice. It gets at most one notice in each interval, and none if nothing
        has changed for it: members that came and left in between, and users who were lost and
        came back, do not appear. A watcher whose outbox is full gets all members as soon as there
        is room at the end of an interval, instead of the changes that it has missed.

    Args:
        topic: The name of the topic.
        shared: What it shares with the presences of other topics.
    """

    __slots__ = (
        *("_changes", "_clients", "_kept", "_lingering", "_members", "_others", "_shared"),
        *("_topic", "_users", "_watchers"),
    )

    def __init__(self, topic: str, shared: Presences) -> None:
        self._topic = topic
        self._shared = shared
        self._members: dict[Who, _Entry] = {}
        self._clients = 0
        self._users = 0
        self._lingering: OrderedDict[Who, float] = OrderedDict()
        """When each lingering user is no longer a member, the earliest first."""
        self._others: dict[str, dict[Who, Member]] = {}
        """The members of each other process that has some, as it says."""
        self._watchers: dict[Client, int] = {}
        """The index in ``_changes`` of the first ones that each watcher does not know."""
        self._forget_changes()

    # --- Subscribers ---

    def join(self, client: Client) -> None:
        """Count a new subscriber."""
        self._expire()
        self._clients += 1
        self._add(_who(client, client.user), client.info)

    def leave(self, client: Client, *, lost: bool = False) -> None:
        """Count a subscriber no more; if its connection was lost, its user may linger."""
        self._watchers.pop(client, None)
        self._clients -= 1
        self._remove(_who(client, client.user), lingers=lost and self._shared.linger > 0)

    def identify(self, client: Client, former_user: str | None) -> None:
        """Count a subscriber as its present user, or with another info than before."""
        self._add(_who(client, client.user), client.info)
        self._remove(_who(client, former_user))

    def watch(self, client: Client) -> Notice:
        """Notify a subscriber of all changes from now on; return who is there now."""
        self._expire()
        if not self._watchers:
            self._forget_changes()
        elif self._changes[-1].before:
            self._kept += len(self._changes[-1].before)
            self._changes.append(_Changes(self._is_truncated))
        self._watchers[client] = len(self._changes) - 1
        return self.view()

    def view(self) -> Notice:
        """Return who is there now."""
        self._expire()
        if self._is_truncated:
            return self._notice()
        members = [Member(who, each.info, each.clients) for who, each in self._members.items()]
        return self._notice(members=members)

    def close(self) -> None:
        """Notify nobody any more: the topic was deleted."""
        self._watchers.clear()
        self._shared.timer.discard(self.announce)

    # --- Other processes ---

    def local_view(self) -> Notice:
        """Return who is there with connections to this process."""
        members = list(self.local_members())
        return Notice(
            topic=self._topic,
            clients=sum(member.clients for member in members),
            users=sum(member.who.user is not None for member in members),
            members=None if len(members) > self._shared.max_members else members,
        )

    def local(self, who: Who) -> Member | None:
        """Return a member with its connections to this process; ``None`` if it is none here."""
        entry = self._members.get(who)
        if entry is None or not (entry.local or who in self._lingering):
            return None
        return Member(who, entry.info, entry.local)

    def local_members(self) -> Iterator[Member]:
        """Yield the members of this process, each as it is at that moment.

        Those who become members between two steps are left out.
        """
        self._expire()
        for who in list(self._members):
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
        entry = self._members.get(who)
        if info is not None:
            if entry is None:
                entry = self._new(who, info)
            elif former is None or former.info != info:
                self._describe(who, entry, info)
            others[who] = Member(who, info, clients)
            self._count(entry, 1, clients)
        if former is not None and entry is not None:
            self._count(entry, -1, -former.clients)
            self._drop_unless_present(who, entry)

    def _count(self, entry: _Entry, processes: int, clients: int) -> None:
        entry.processes += processes
        entry.clients += clients
        self._clients += clients

    def remote_members(self, process: str) -> list[Who]:
        """Return the members of another process, as far as it was heard."""
        return list(self._others.get(process, ()))

    def drop_process(self, process: str) -> None:
        """Forget what another process has said."""
        for who in self.remote_members(process):
            self.set_remote(process, who, None, 0)
        self._others.pop(process, None)

    def drop_others(self) -> None:
        """Forget what all other processes have said."""
        for process in list(self._others):
            self.drop_process(process)

    # --- Members ---

    @property
    def _is_truncated(self) -> bool:
        return len(self._members) > self._shared.max_members

    def _add(self, who: Who, info: bytes) -> None:
        entry = self._members.get(who)
        if entry is None:
            entry = self._new(who, info)
        else:
            self._lingering.pop(who, None)
            self._describe(who, entry, info)
        entry.clients += 1
        entry.local += 1
        self._export(who)

    def _new(self, who: Who, info: bytes) -> _Entry:
        entry = self._members[who] = _Entry(info)
        self._users += who.user is not None
        self._note(who, None, info)
        return entry

    def _describe(self, who: Who, entry: _Entry, info: bytes) -> None:
        if entry.info != info:
            before, entry.info = entry.info, info
            self._note(who, before, info)

    def _remove(self, who: Who, *, lingers: bool = False) -> None:
        entry = self._members[who]
        entry.clients -= 1
        entry.local -= 1
        if not entry.local:
            if lingers and who.user is not None:
                self._lingering[who] = self._shared.clock() + self._shared.linger
                self._shared.timer.add(self.announce)
            else:
                self._drop_unless_present(who, entry)
        self._export(who)

    def _drop_unless_present(self, who: Who, entry: _Entry) -> None:
        if entry.local or entry.processes or who in self._lingering:
            return
        del self._members[who]
        self._users -= who.user is not None
        self._note(who, entry.info, None)

    def _export(self, who: Who) -> None:
        if self._shared.export is not None:
            self._shared.export(self._topic, who)

    def _expire(self) -> None:
        """Remove the users who have lingered long enough."""
        if not self._lingering:
            return
        now = self._shared.clock()
        while self._lingering:
            who, deadline = next(iter(self._lingering.items()))
            if deadline > now:
                break
            del self._lingering[who]
            self._drop_unless_present(who, self._members[who])
            self._export(who)

    # --- Changes ---

    def _note(self, who: Who, before: bytes | None, after: bytes | None) -> None:
        if not self._watchers:
            return
        changes = self._changes[-1].before
        if changes.setdefault(who, before) == after:
            del changes[who]
        if self._kept + len(changes) > _CHANGES_PER_MEMBER * self._shared.max_members:
            # To send all members takes less than to keep more changes.
            self._forget_changes()
            self._watchers = dict.fromkeys(self._watchers, _BEHIND)
        self._shared.timer.add(self.announce)

    def _forget_changes(self) -> None:
        self._changes = [_Changes(self._is_truncated)]
        self._kept = 0
        """The number of changes in all of ``_changes`` but the last."""

    def announce(self) -> int:
        """Notify the watchers, as the timer does at the end of an interval; return the work."""
        self._expire()
        behind = [
            client
            for clients, frame in self._frames()
            for client in clients
            if not client.outbox.put_notice(frame)
        ]
        self._forget_changes()
        self._watchers = dict.fromkeys(self._watchers, 0) | dict.fromkeys(behind, _BEHIND)
        if behind or self._lingering:
            self._shared.timer.add(self.announce)
        return len(self._watchers)

    def _frames(self) -> Iterator[tuple[list[Client], Frame]]:
        """Yield all watchers for whom something has changed, with what they get."""
        watchers: dict[int, list[Client]] = {}
        for client, known in self._watchers.items():
            watchers.setdefault(known, []).append(client)
        describe = self._shared.describe
        all_members: Frame | None = None
        if _BEHIND in watchers:
            all_members = describe(self.view())
            yield watchers[_BEHIND], all_members
        changed: dict[Who, bytes | None] = {}
        for index in range(len(self._changes) - 1, -1, -1):
            changes = self._changes[index]
            for who, before in changes.before.items():
                if before == self._info(who):
                    changed.pop(who, None)
                else:
                    changed[who] = before
            if not changed or index not in watchers:
                continue
            if self._is_truncated or changes.truncated:
                all_members = all_members or describe(self.view())
                yield watchers[index], all_members
            else:
                yield watchers[index], describe(self._difference(changed))

    def _difference(self, changed: dict[Who, bytes | None]) -> Notice:
        joined, left = [], []
        for who in changed:
            entry = self._members.get(who)
            if entry is None:
                left.append(who)
            else:
                joined.append(Member(who, entry.info, entry.clients))
        return self._notice(joined=joined, left=left)

    def _info(self, who: Who) -> bytes | None:
        entry = self._members.get(who)
        return None if entry is None else entry.info

    def _notice(
        self,
        *,
        members: list[Member] | None = None,
        joined: list[Member] | None = None,
        left: list[Who] | None = None,
    ) -> Notice:
        return Notice(
            topic=self._topic,
            clients=self._clients,
            users=self._users,
            members=members,
            joined=joined,
            left=left,
        )

    def __repr__(self) -> str:
        return (
            f"<Presence in {self._topic!r}, {len(self._members)} members, "
            f"{len(self._watchers)} watchers>"
        )


def _who(client: Client, user: str | None) -> Who:
    return Who(None, client.id) if user is None else Who(user, None)
