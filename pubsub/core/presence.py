"""The subscribers of a topic that are notified when its members come and go: the watchers.

Of all that happens in an interval, a watcher learns the net result at its end, from a frame that it
shares with every watcher that knew the same before.
"""

from collections.abc import Iterator

from pubsub.core.client import Client
from pubsub.core.members import Members, Presences
from pubsub.core.notices import Member, Notice, Who
from pubsub.core.publication import Frame

_BEHIND = -1
"""In place of what a watcher knows: it has missed a notice, and gets all members next."""

_CHANGES_PER_MEMBER = 4
"""Changes in one interval that are kept, as a multiple of the largest number of members."""


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
        shared: What it has in common with the presences of other topics.
    """

    __slots__ = ("_changes", "_kept", "_shared", "_topic", "_watchers", "members")

    def __init__(self, topic: str, shared: Presences) -> None:
        self.members = Members(
            topic, shared, on_change=self._note, on_lingering=self._announce_later
        )
        self._topic = topic
        self._shared = shared
        self._watchers: dict[Client, int] = {}
        """The index in ``_changes`` of the first ones that each watcher does not know."""
        self._forget_changes()

    # --- Subscribers ---

    def join(self, client: Client) -> None:
        """Count a new subscriber."""
        self.members.join(client)

    def leave(self, client: Client, *, lost: bool = False) -> None:
        """Count a subscriber no more; if its connection was lost, its user may linger."""
        self._watchers.pop(client, None)
        self.members.leave(client, lost=lost)

    def identify(self, client: Client, former_user: str | None) -> None:
        """Count a subscriber as its present user, or with another info than before."""
        self.members.identify(client, former_user)

    def watch(self, client: Client) -> Notice:
        """Notify a subscriber of all changes from now on; return who is there now."""
        self.members.expire()
        if not self._watchers:
            self._forget_changes()
        elif self._changes[-1].before:
            self._kept += len(self._changes[-1].before)
            self._changes.append(_Changes(self._is_truncated))
        self._watchers[client] = len(self._changes) - 1
        return self.view()

    def view(self) -> Notice:
        """Return who is there now."""
        self.members.expire()
        if self._is_truncated:
            return self._notice()
        return self._notice(members=list(self.members))

    def local_view(self) -> Notice:
        """Return who is there with connections to this process."""
        members = list(self.members.local_members())
        return Notice(
            topic=self._topic,
            clients=sum(member.clients for member in members),
            users=sum(member.who.user is not None for member in members),
            members=None if len(members) > self._shared.max_members else members,
        )

    def close(self) -> None:
        """Notify nobody any more: the topic was deleted."""
        self._watchers.clear()
        self._shared.timer.discard(self.announce)

    # --- Changes ---

    @property
    def _is_truncated(self) -> bool:
        return len(self.members) > self._shared.max_members

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
        self._announce_later()

    def _announce_later(self) -> None:
        self._shared.timer.add(self.announce)

    def _forget_changes(self) -> None:
        self._changes = [_Changes(self._is_truncated)]
        self._kept = 0
        """The number of changes in all of ``_changes`` but the last."""

    def announce(self) -> int:
        """Notify the watchers, as the timer does at the end of an interval; return the work."""
        self.members.expire()
        behind = [
            client
            for clients, frame in self._frames()
            for client in clients
            if not client.outbox.put_notice(frame)
        ]
        self._forget_changes()
        self._watchers = dict.fromkeys(self._watchers, 0) | dict.fromkeys(behind, _BEHIND)
        if behind or self.members.has_lingering:
            self._announce_later()
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
                if before == self.members.info(who):
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
            member = self.members.get(who)
            if member is None:
                left.append(who)
            else:
                joined.append(member)
        return self._notice(joined=joined, left=left)

    def _notice(
        self,
        *,
        members: list[Member] | None = None,
        joined: list[Member] | None = None,
        left: list[Who] | None = None,
    ) -> Notice:
        return Notice(
            topic=self._topic,
            clients=self.members.clients,
            users=self.members.users,
            members=members,
            joined=joined,
            left=left,
        )

    def __repr__(self) -> str:
        return (
            f"<Presence in {self._topic!r}, {len(self.members)} members, "
            f"{len(self._watchers)} watchers>"
        )
