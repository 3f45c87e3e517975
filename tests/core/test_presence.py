"""Presence: who is counted, who lingers, and what the watchers get at the end of an interval."""

import gc
import weakref
from collections.abc import Callable

import pytest

from pubsub.core.client import Client
from pubsub.core.errors import NoPresence, TopicNotFound
from pubsub.core.notices import Member, Who
from pubsub.core.options import GivenOptions, TopicRules
from tests.core.presence_room import INTERVAL, LINGER, Room, changes, names
from tests.core.support import publish, read, reply


def test_members_are_users_and_clients_without_one() -> None:
    """A user with two connections is one member, and every client without a user is one."""
    room = Room()
    room.join("ann", b'{"name":"Ann"}')
    room.join("ann", b'{"name":"Ann"}')
    other = room.join()
    notice = room.broker.presence("t")
    assert (notice.clients, notice.users) == (3, 1)
    assert notice.members == [
        Member(Who("ann", None), b'{"name":"Ann"}', 2),
        Member(Who(None, other.id), b"", 1),
    ]


def test_user_of_whom_nothing_is_known() -> None:
    """The info of a user is an empty object if nobody has said anything else."""
    room = Room()
    room.join("ann")
    assert room.broker.presence("t").members == [Member(Who("ann", None), b"{}", 1)]


def test_user_is_not_mistaken_for_a_client() -> None:
    """A user may have the id of a client as its name."""
    room = Room()
    client = room.join()
    room.join(client.id)
    notice = room.broker.presence("t")
    assert (len(notice.members or ()), notice.users) == (2, 1)


# --- What a watcher gets ---


def test_watcher_gets_all_members_first() -> None:
    """Whoever asks gets everyone who is there, itself included, and is not told of itself again."""
    room = Room()
    other = room.join()
    client = room.connect()
    assert names(room.ask(client)) == [other.id, client.id]
    room.elapse(10)
    assert room.read(client) == []


def test_changes_come_once_in_an_interval() -> None:
    """Members that join and leave within an interval are told in one notice at its end."""
    room = Room()
    watcher, early = room.watch(), room.join()
    room.elapse()
    room.read(watcher)
    late = room.join("ann")
    room.elapse(INTERVAL / 2)
    room.broker.unsubscribe(early, "t")
    assert room.read(watcher) == []
    room.elapse(INTERVAL / 2)
    (notice,) = room.read(watcher)
    assert changes(notice) == (["ann"], [early.id])
    assert (notice.clients, notice.users) == (2, 1)
    room.elapse(10)
    assert room.read(watcher) == []
    assert late.topics


def test_members_that_join_and_leave_within_an_interval() -> None:
    """They are told to nobody."""
    room = Room()
    watcher, staying = room.watch(), room.join("ann")
    room.elapse()
    room.read(watcher)
    room.broker.disconnect(room.join())
    room.broker.disconnect(staying)
    room.join("ann")
    room.elapse()
    assert room.read(watcher) == []
    assert len(room.notices) == 1


def test_watchers_that_come_within_an_interval() -> None:
    """Each gets what has changed since it came, and those that came together share the frame."""
    room = Room()
    first = room.watch()
    ann = room.join("ann")
    second, third = room.watch("bob"), room.watch("bob")
    room.broker.disconnect(ann)
    room.join("cid")
    room.elapse()
    assert [changes(notice) for notice in room.read(first)] == [(["cid", "bob"], [])]
    assert [changes(notice) for notice in room.read(second)] == [(["cid"], ["ann"])]
    assert [changes(notice) for notice in room.read(third)] == [(["cid"], ["ann"])]
    assert len(room.notices) == 2
    last = room.join("dan")
    room.elapse()
    assert [changes(*room.read(each)) for each in (first, second)] == [(["dan"], [])] * 2
    assert len(room.notices) == 3
    assert last.topics


def test_watcher_for_which_nothing_has_changed() -> None:
    """What was undone since a watcher came is told to nobody, if nobody knew it before."""
    room = Room()
    early = room.watch()
    ann = room.join("ann")
    late = room.watch("bob")
    room.broker.disconnect(ann)
    room.join("ann")
    room.elapse()
    assert [changes(notice) for notice in room.read(early)] == [(["ann", "bob"], [])]
    assert room.read(late) == []


def test_all_watchers_share_one_frame() -> None:
    """A notice is encoded once, whatever the number of watchers."""
    room = Room()
    watchers = [room.watch() for _ in range(20)]
    room.elapse()
    for watcher in watchers:
        room.read(watcher)
    before = len(room.notices)
    room.join()
    room.elapse()
    frames = {frame for watcher in watchers for frame in watcher.outbox.take_nowait(1)}
    assert len(frames) == len(room.notices) - before == 1


def test_topic_that_nobody_watches() -> None:
    """Without watchers nothing is encoded, and no timer runs."""
    room = Room()
    room.broker.disconnect(room.watch())
    room.elapse()
    room.broker.disconnect(room.join())
    assert room.time.timers == []
    assert room.notices == []


def test_watcher_that_leaves() -> None:
    """A subscriber that has unsubscribed gets no more notices, even if it subscribes again."""
    room = Room()
    watcher = room.watch()
    room.broker.unsubscribe(watcher, "t")
    room.broker.subscribe(watcher, "t")
    room.join()
    room.elapse()
    assert room.read(watcher) == []


def test_subscribing_again() -> None:
    """A second subscription begins the notices if it asks for them, and does not end them."""
    room = Room()
    client = room.join()
    assert names(room.ask(client)) == [client.id]
    assert room.broker.subscribe(client, "t").presence is None
    other = room.join()
    assert names(room.ask(client)) == [client.id, other.id]
    room.broker.disconnect(other)
    room.elapse()
    assert [changes(notice) for notice in room.read(client)] == [([], [other.id])]


# --- Connections of a user ---


def test_number_of_connections() -> None:
    """That a user has one connection more or less is not told; the next notice has the counts."""
    room = Room()
    watcher, first = room.watch(), room.join("ann")
    room.elapse()
    room.read(watcher)
    second = room.join("ann")
    room.elapse()
    room.broker.disconnect(first)
    room.elapse()
    room.join("ann")
    room.elapse()
    assert room.read(watcher) == []
    room.join("bob")
    room.elapse()
    (notice,) = room.read(watcher)
    assert (notice.clients, notice.users) == (4, 2)
    assert second.topics


def test_user_who_comes_back() -> None:
    """A user who was lost lingers; back in time, nobody has noticed."""
    room = Room()
    watcher, ann = room.watch(), room.join("ann", b'{"n":1}')
    room.elapse()
    room.read(watcher)
    room.lose(ann)
    room.elapse(LINGER - 0.1)
    notice = room.broker.presence("t")
    assert (notice.clients, notice.users) == (1, 1)
    assert notice.members is not None
    assert notice.members[-1] == Member(Who("ann", None), b'{"n":1}', 0)
    room.join("ann", b'{"n":1}')
    room.elapse(2 * LINGER)
    assert room.read(watcher) == []
    assert "ann" in room.present()


def test_user_who_does_not_come_back() -> None:
    """A user who was lost leaves when the time to linger is over."""
    room = Room()
    watcher, ann = room.watch(), room.join("ann")
    room.elapse()
    room.read(watcher)
    room.lose(ann)
    room.elapse(LINGER - 0.1)
    assert room.read(watcher) == []
    room.elapse(INTERVAL + 0.1)
    assert [changes(notice) for notice in room.read(watcher)] == [([], ["ann"])]
    room.elapse(10)
    assert room.time.timers == []


def test_user_who_comes_back_too_late() -> None:
    """The time to linger is not rounded up to the interval."""
    room = Room(presence_interval=100)
    room.lose(room.join("ann"))
    room.elapse(LINGER)
    assert room.present() == []


def leave_by_unsubscribing(room: Room, client: Client) -> None:
    """End the subscription."""
    room.broker.unsubscribe(client, "t")


def leave_by_closing(room: Room, client: Client) -> None:
    """End the connection."""
    room.broker.disconnect(client)


@pytest.mark.parametrize("leave", [leave_by_unsubscribing, leave_by_closing])
def test_user_who_leaves(leave: Callable[[Room, Client], None]) -> None:
    """A user whose last connection has left does not linger, even if others were lost before."""
    room = Room()
    first, last = room.join("ann"), room.join("ann")
    room.lose(first)
    assert room.present() == ["ann"]
    leave(room, last)
    assert room.present() == []


def test_only_users_linger() -> None:
    """A client without a user that was lost is gone: it would have another id."""
    room = Room()
    room.lose(room.join())
    assert room.present() == []


def test_lingering_can_be_off() -> None:
    """With a time of 0 a lost user has left."""
    room = Room(presence_linger=0)
    room.lose(room.join("ann"))
    assert room.present() == []


# --- Who a client is ---


def test_client_that_authenticates() -> None:
    """A subscriber that gets a user becomes another member, and keeps getting notices."""
    room = Room()
    watcher, client = room.watch(), room.watch()
    room.elapse()
    room.read(watcher)
    room.broker.identify(client, "ann")
    room.elapse()
    (notice,) = room.read(watcher)
    assert changes(notice) == (["ann"], [client.id])
    assert (notice.clients, notice.users) == (2, 1)
    assert [changes(each) for each in room.read(client)] == [(["ann"], [client.id])]


def test_new_info() -> None:
    """A member whose info changes joins again; the same info is no change."""
    room = Room()
    watcher, ann = room.watch(), room.join("ann", b'{"n":1}')
    room.elapse()
    room.read(watcher)
    room.broker.identify(ann, "ann", b'{"n":1}')
    room.broker.identify(ann, "ann", b'{"n":2}')
    room.broker.identify(ann, "ann", b'{"n":1}')
    room.elapse()
    assert room.read(watcher) == []
    room.broker.identify(ann, "ann", b'{"n":2}')
    room.elapse()
    (notice,) = room.read(watcher)
    assert (notice.joined, notice.left) == ([Member(Who("ann", None), b'{"n":2}', 1)], [])
    assert room.present() == [watcher.id, "ann"]


def test_identity_concerns_topics_with_presence_only() -> None:
    """A client may be subscribed to topics without presence, too."""
    room = Room()
    room.broker.create_topic("u")
    client = room.join()
    room.broker.subscribe(client, "u")
    room.broker.identify(client, "ann")
    assert room.present() == ["ann"]
    room.broker.disconnect(client)
    assert room.present() == []


# --- Bounds ---


def test_too_many_members() -> None:
    """Above the largest number of members only the counts are told; below it, all members."""
    room = Room(presence_max=3)
    watcher = room.watch("w")
    others = [room.join(each) for each in "abc"]
    room.elapse()
    (notice,) = room.read(watcher)
    assert (notice.members, notice.joined, notice.left) == (None, None, None)
    assert (notice.clients, notice.users) == (4, 4)
    assert room.broker.presence("t") == notice
    assert room.ask(room.connect("d")) == room.broker.presence("t")
    room.broker.disconnect(others.pop())
    room.elapse()
    (notice,) = room.read(watcher)
    assert (notice.members, notice.users) == (None, 4)
    room.broker.disconnect(others.pop())
    room.elapse()
    (notice,) = room.read(watcher)
    assert names(notice) == ["w", "a", "d"]
    room.broker.disconnect(others.pop())
    room.elapse()
    assert changes(*room.read(watcher)) == ([], ["a"])


def test_full_outbox() -> None:
    """A watcher whose outbox is full gets all members when there is room, not what it missed."""
    room = Room(queue_size=2)
    slow, quick = room.watch(), room.watch()
    room.elapse()
    room.read(slow)
    for _ in range(2):
        publish(room.broker, "t", "text")
    room.read(quick)
    ann = room.join("ann")
    room.elapse()
    assert changes(*room.read(quick)) == (["ann"], [])
    bob = room.join("bob")
    room.elapse(10)
    assert changes(*room.read(quick)) == (["bob"], [])
    assert room.read(slow) == []
    room.elapse()
    (notice,) = room.read(slow)
    assert names(notice) == [slow.id, quick.id, "ann", "bob"]
    room.broker.disconnect(ann)
    room.broker.disconnect(bob)
    room.elapse()
    assert [changes(notice) for notice in room.read(slow)] == [([], ["ann", "bob"])]
    assert room.time.timers == []


def test_full_outbox_is_flushed_first() -> None:
    """An outbox counts as full only if the socket is full, too."""
    room = Room(queue_size=1)
    taken: list[str] = []
    client = room.broker.connect(
        on_frames=lambda: None,
        on_full=lambda: taken.extend(read(client)),
        on_overflow=lambda policy: None,
    )
    room.ask(client)
    publish(room.broker, "t", "text")
    ann = room.join("ann")
    room.elapse()
    assert taken == ["text"]
    assert [changes(notice) for notice in room.read(client)] == [(["ann"], [])]
    assert ann.topics


def test_many_changes() -> None:
    """If more has changed in an interval than is kept, all members are sent instead."""
    room = Room(presence_max=1)
    watcher = room.watch()
    room.elapse()
    clients = [room.join() for _ in range(5)]
    late = room.connect()
    room.ask(late)
    for client in (*clients, late):
        room.broker.disconnect(client)
    room.elapse()
    (notice,) = room.read(watcher)
    assert names(notice) == [watcher.id]


def test_changes_that_cancel_out_take_no_room() -> None:
    """Any number of members may join and leave within an interval without being told."""
    room = Room(presence_max=1)
    watcher = room.watch()
    room.elapse()
    for _ in range(10):
        room.broker.disconnect(room.join())
    room.elapse()
    assert room.read(watcher) == []


def test_many_changes_between_watchers() -> None:
    """What is kept for watchers that came at different moments is bounded in total."""
    room = Room(presence_max=5)
    watcher = room.watch()
    for _ in range(10):
        room.broker.disconnect(room.watch())
        room.broker.disconnect(room.join("ann"))
    assert len(room.broker.topic("t").presence._changes) <= 20
    room.elapse()
    assert [names(notice) for notice in room.read(watcher)] == [[watcher.id]]


def test_crowd_that_joins_at_once() -> None:
    """However many join and ask, the end of the interval takes one encoding and one frame each."""
    room = Room()
    watchers = [room.watch() for _ in range(5_000)]
    room.elapse()
    assert len(room.notices) == 1
    assert [len(room.read(watcher)) for watcher in watchers] == [1] * 4_999 + [0]
    room.broker.disconnect(watchers.pop())
    room.elapse()
    assert len(room.notices) == 2


# --- Topics ---


def test_topic_without_presence() -> None:
    """Asking for presence where there is none is refused, and changes nothing."""
    room = Room(auto_create_topics=True, topics=TopicRules({"who*": GivenOptions(presence=True)}))
    room.broker.create_topic("plain")
    client = room.connect()
    for topic in ("plain", "new"):
        with pytest.raises(NoPresence):
            room.broker.subscribe(client, topic, presence=True)
    with pytest.raises(NoPresence):
        room.broker.presence("plain")
    with pytest.raises(TopicNotFound):
        room.broker.presence("new")
    assert room.broker.subscriptions() == {client.id: []}
    assert list(room.broker.subscriber_counts()) == ["plain", "t"]
    assert room.broker.subscribe(client, "who", presence=True).presence is not None


def test_missing_topic() -> None:
    """Where clients cannot create topics, a missing one is an error of its own."""
    room = Room()
    with pytest.raises(TopicNotFound):
        room.broker.subscribe(room.connect(), "new", presence=True)


def test_topic_that_is_deleted() -> None:
    """After the deletion of a topic nothing more is told about it."""
    room = Room()
    watcher = room.watch()
    room.join()
    room.broker.delete_topic("t", reply("deleted"))
    room.elapse()
    assert read(watcher) == ["deleted"]
    assert room.time.timers == []


def test_clients_are_released() -> None:
    """Nothing refers to a client that has left, not even before the end of the interval."""
    room = Room()
    room.watch()
    watcher = room.watch("ann")
    reference = weakref.ref(watcher.outbox)
    room.lose(watcher)
    del watcher
    gc.collect()
    assert reference() is None


def test_representation() -> None:
    """A presence shows its topic, its members and its watchers."""
    room = Room()
    room.watch()
    room.join()
    presence = room.broker.topic("t").presence
    assert repr(presence) == "<Presence in 't', 2 members, 1 watchers>"
