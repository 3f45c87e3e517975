"""The members of a topic in several processes."""

from pubsub.core.notices import Member, Who
from tests.core.presence_room import INTERVAL, LINGER, SharedRoom, changes, names


def test_repr() -> None:
    """The repr shows the members, and the subscribers of all processes."""
    room = SharedRoom()
    room.join("ann")
    room.members.set_remote("p", Who("ann", None), b"{}", 2)
    assert repr(room.members) == "<Members of 't', 1 members, 3 subscribers>"


def test_one_user_on_two_processes() -> None:
    """A user in two processes is one member, with the connections to both."""
    room = SharedRoom()
    members = room.members
    client = room.join("ann")
    members.set_remote("p", Who("ann", None), b"{}", 2)
    members.set_remote("q", Who("bob", None), b"{}", 1)
    notice = room.broker.presence("t")
    assert (notice.clients, notice.users) == (4, 2)
    assert notice.members == [
        Member(Who("ann", None), b"{}", 3),
        Member(Who("bob", None), b"{}", 1),
    ]
    room.broker.disconnect(client)
    assert room.present() == ["ann", "bob"]
    members.set_remote("p", Who("ann", None), None, 0)
    assert room.present() == ["bob"]


def test_watchers_are_notified_of_other_processes() -> None:
    """Watchers get members of other processes as they get those of their own, once an interval."""
    room = SharedRoom()
    members = room.members
    watcher = room.watch()
    members.set_remote("p", Who("ann", None), b"{}", 1)
    members.set_remote("p", Who("bob", None), b"{}", 1)
    members.set_remote("p", Who("bob", None), None, 0)
    room.elapse()
    members.set_remote("p", Who("ann", None), b"{}", 0)
    room.elapse()
    members.drop_process("p")
    room.elapse()
    assert [changes(notice) for notice in room.read(watcher)] == [(["ann"], []), ([], ["ann"])]


def test_user_lingers_in_each_process() -> None:
    """A user who was lost here is a member as long as it lingers here or is elsewhere."""
    room = SharedRoom()
    members, exported = room.members, room.exported
    ann = Who("ann", None)
    client = room.join("ann")
    members.set_remote("p", ann, b"{}", 0)
    room.lose(client)
    assert members.local(ann) == Member(ann, b"{}", 0)
    room.elapse(LINGER + INTERVAL)
    assert members.local(ann) is None
    assert room.present() == ["ann"]
    members.drop_others()
    assert room.present() == []
    assert exported == [ann, ann, ann]


def test_what_other_processes_may_know() -> None:
    """Each change of this process' own members is exported, and they can be listed."""
    room = SharedRoom()
    members, exported = room.members, room.exported
    client = room.join("ann")
    room.broker.identify(client, "bob", b'{"n":1}')
    members.set_remote("p", Who("ann", None), b"{}", 1)
    assert exported == [Who("ann", None), Who("bob", None), Who("ann", None)]
    assert list(members.local_members()) == [Member(Who("bob", None), b'{"n":1}', 1)]
    assert members.local(Who("ann", None)) is None
    assert members.remote_members("p") == [Who("ann", None)]
    assert members.remote_members("q") == []


def test_infos_that_differ() -> None:
    """What is known about a user is what was said last; to say the same again changes nothing."""
    room = SharedRoom()
    members = room.members
    ann = Who("ann", None)
    watcher = room.watch()
    for process, info in (("p", b'{"n":1}'), ("q", b'{"n":2}'), ("p", b'{"n":1}')):
        members.set_remote(process, ann, info, 1)
    room.elapse()
    members.set_remote("p", ann, b'{"n":3}', 1)
    room.elapse()
    joined = [notice.joined for notice in room.read(watcher)]
    assert joined == [[Member(ann, b'{"n":2}', 2)], [Member(ann, b'{"n":3}', 2)]]


def test_unknown_members_of_other_processes() -> None:
    """To hear that somebody has left who was never there does no harm."""
    room = SharedRoom()
    members = room.members
    members.set_remote("p", Who("ann", None), None, 0)
    members.drop_process("q")
    assert room.broker.presence("t").clients == 0


def test_processes_without_members() -> None:
    """Nothing is kept of a process that has no members any more, or had none."""
    room = SharedRoom()
    members = room.members
    room.join("ann")
    members.set_remote("p", Who("bob", None), b"{}", 1)
    members.set_remote("p", Who("bob", None), None, 0)
    members.set_remote("q", Who("bob", None), None, 0)
    members.set_remote("r", Who("bob", None), b"{}", 1)
    assert list(members._others) == ["r"]
    members.drop_process("r")
    assert not members._others


def test_members_of_one_process() -> None:
    """The members of this process alone are listed up to the same number as those of all."""
    room = SharedRoom(presence_max=2)
    members = room.members
    members.set_remote("p", Who("bob", None), b"{}", 3)
    room.join("ann")
    other = room.join()
    notice = room.broker.presence("t", here=True)
    assert (notice.clients, notice.users) == (2, 1)
    assert names(notice) == ["ann", other.id]
    assert room.broker.presence("t").clients == 5
    room.join()
    notice = room.broker.presence("t", here=True)
    assert (notice.clients, notice.users, notice.members) == (3, 1, None)
