"""The outbox: its bounds, its overflow policies, and how it reports losses."""

import asyncio

import pytest

from pubsub.core.configuration import Configuration
from pubsub.core.counters import TopicCounters
from pubsub.core.history import History, KeptFrame
from pubsub.core.options import Overflow
from pubsub.core.outbox import Outbox
from pubsub.core.publication import Frame
from pubsub.core.replay import Replay
from tests.core.support import describe_loss, event, make_history, reply

ALL = 1 << 20
TOPIC, OTHER = TopicCounters("t"), TopicCounters("u")
OLDEST = TopicCounters("o", overflow=Overflow.DROP_OLDEST)


def make(queue_size: int = 3, **options: object) -> Outbox:
    """Return an outbox with room for a few frames."""
    queue_bytes = options.pop("queue_bytes", ALL)
    config = Configuration(queue_size=queue_size, queue_bytes=queue_bytes)
    return Outbox(config, describe_loss=describe_loss, **options)


def texts(frames: list[Frame]) -> list[str]:
    """Return the frames' texts."""
    return [frame.text for frame in frames]


def take_all(outbox: Outbox) -> list[str]:
    """Take everything that waits, and the notices of losses that follow; return the texts."""
    taken: list[str] = []
    while not outbox.empty():
        taken += texts(outbox.take_nowait(ALL))
    return taken


def offer(outbox: Outbox, payloads: str, counters: TopicCounters = TOPIC) -> None:
    """Offer one event for each letter."""
    for payload in payloads:
        outbox.offer(event(payload, counters))


def test_takes_what_fits_in_order() -> None:
    """Frames are taken oldest first, up to a number of bytes but always at least one."""
    outbox = make(10)
    offer(outbox, "abcdef")
    assert outbox.bytes_waiting == 6
    assert texts(outbox.take_nowait(1)) == ["a"]
    assert texts(outbox.take_nowait(2)) == ["b", "c"]
    assert texts(outbox.take_nowait(2)) == ["d", "e"]
    assert texts(outbox.take_nowait(ALL)) == ["f"]
    assert outbox.take_nowait(ALL) == []
    assert outbox.bytes_waiting == 0


def test_first_frame_is_announced() -> None:
    """`on_frames` is called for the first frame only, until the outbox is empty again."""
    calls: list[None] = []
    outbox = make(on_frames=lambda: calls.append(None))
    offer(outbox, "ab")
    assert len(calls) == 1
    outbox.take_nowait(ALL)
    outbox.put_reply(reply("r"))
    assert len(calls) == 2


def test_drop_newest_reports_the_loss_where_the_gap_is() -> None:
    """One notice per topic follows the frames already queued and precedes later ones."""
    outbox = make()
    offer(outbox, "abc")
    assert outbox.full()
    before = (TOPIC.dropped, OTHER.dropped)
    offer(outbox, "de", TOPIC)
    offer(outbox, "f", OTHER)
    assert (TOPIC.dropped, OTHER.dropped) == (before[0] + 2, before[1] + 1)
    assert texts(outbox.take_nowait(1)) == ["a"]
    assert texts(outbox.take_nowait(ALL)) == ["b", "c", "t lost 2", "u lost 1"]
    offer(outbox, "g")
    assert texts(outbox.take_nowait(ALL)) == ["g"]


def test_losses_are_reported_for_each_gap() -> None:
    """Each notice counts the events lost since the previous notice."""
    outbox = make(1)
    seen: list[str] = []
    for _ in range(2):
        offer(outbox, "abc")
        seen += texts(outbox.take_nowait(ALL)) + texts(outbox.take_nowait(ALL))
    assert seen == ["a", "t lost 2"] * 2


def test_drop_oldest_keeps_the_newest_events_and_all_replies() -> None:
    """With `drop_oldest` the notice comes first, where the events are missing."""
    outbox = make()
    outbox.put_reply(reply("r"))
    offer(outbox, "abcd", OLDEST)
    assert texts(outbox.take_nowait(ALL)) == ["o lost 2", "r", "c", "d"]


def test_drop_oldest_drops_the_newest_when_only_replies_wait() -> None:
    """Replies are never dropped, so a new event is dropped when only replies are queued."""
    outbox = make(2)
    outbox.put_reply(reply("r"))
    outbox.put_reply(reply("s"))
    offer(outbox, "a", OLDEST)
    assert texts(outbox.take_nowait(ALL)) == ["o lost 1", "r", "s"]


def test_each_policy_is_for_its_own_topics() -> None:
    """Events of a topic with `drop_oldest` take no room from those of other topics."""
    outbox = make()
    offer(outbox, "a", TOPIC)
    offer(outbox, "b", OLDEST)
    offer(outbox, "c", TOPIC)
    offer(outbox, "d", TOPIC)
    offer(outbox, "ef", OLDEST)
    assert take_all(outbox) == ["o lost 2", "a", "c", "f", "t lost 1"]


def test_no_event_overtakes_the_notice_of_a_loss() -> None:
    """Even if an eviction makes room, the next event waits until the loss is reported."""
    outbox = make(queue_bytes=20)
    offer(outbox, "a", TOPIC)
    outbox.offer(event("x" * 19, OLDEST))
    offer(outbox, "b", TOPIC)
    offer(outbox, "c", OLDEST)
    assert not outbox.full()
    offer(outbox, "d", TOPIC)
    assert texts(outbox.take_nowait(ALL)) == ["o lost 1", "a", "c"]
    offer(outbox, "e", TOPIC)
    assert take_all(outbox) == ["t lost 2", "e"]


@pytest.mark.parametrize("policy", [*Overflow])
def test_each_gap_calls_back_once(policy: Overflow) -> None:
    """Whatever the policy, the first event that is lost since the last notice is announced."""
    overflows: list[Overflow] = []
    outbox = make(1, on_overflow=overflows.append)
    counters = TopicCounters("t", overflow=policy)
    offer(outbox, "abc", counters)
    assert (overflows, counters.dropped) == ([policy], 2)
    outbox.take_nowait(ALL)
    outbox.take_nowait(ALL)
    offer(outbox, "abc", counters)
    assert overflows == [policy, policy]


def test_each_topic_with_a_gap_calls_back() -> None:
    """A topic whose policy is to disconnect does so after a loss of another topic, too."""
    overflows: list[Overflow] = []
    outbox = make(1, on_overflow=overflows.append)
    offer(outbox, "abc", TOPIC)
    offer(outbox, "de", TopicCounters("u", overflow=Overflow.DISCONNECT))
    assert overflows == [Overflow.DROP_NEWEST, Overflow.DISCONNECT]


@pytest.mark.parametrize("policy", Overflow)
def test_nothing_is_dropped_before_a_flush(policy: Overflow) -> None:
    """A full outbox is flushed first, so events are dropped only if the socket is full too."""
    left: list[str] = []
    outbox = make(2, on_full=lambda: left.extend(texts(outbox.take_nowait(ALL))))
    offer(outbox, "abcdefg", TopicCounters("t", overflow=policy))
    assert left + texts(outbox.take_nowait(ALL)) == list("abcdefg")


def test_one_large_event_may_evict_any_number_of_small_ones() -> None:
    """With `drop_oldest` one large event can evict any number of small ones."""
    outbox = make(5000, queue_bytes=12_000)
    offer(outbox, "x" * 4000, OLDEST)
    outbox.offer(event("y" * 9000, OLDEST))
    outbox.offer(event("z", OLDEST))
    left = texts(outbox.take_nowait(ALL))
    assert left[0].startswith("o lost ")
    assert left[-2:] == ["y" * 9000, "z"]


def test_bytes_are_bounded_too() -> None:
    """A frame that exceeds the byte bound fills the outbox until a frame is taken out."""
    outbox = make(100, queue_bytes=8)
    outbox.offer(event("x" * 8, TOPIC))
    assert outbox.full()
    offer(outbox, "a")
    assert texts(outbox.take_nowait(ALL)) == ["x" * 8]
    assert texts(outbox.take_nowait(ALL)) == ["t lost 1"]


def test_an_empty_outbox_takes_a_frame_of_any_size() -> None:
    """An empty outbox accepts a frame of any size; otherwise it could never be delivered."""
    outbox = make(queue_bytes=1)
    outbox.offer(event("x" * 100, TOPIC))
    assert outbox.qsize() == 1


def test_replies_may_exceed_the_bound() -> None:
    """Replies are accepted however full the outbox is."""
    outbox = make(1)
    for number in range(5):
        outbox.put_reply(reply(str(number)))
    assert texts(outbox.take_nowait(ALL)) == ["0", "1", "2", "3", "4"]


def replay(payloads: str) -> tuple[History, Replay]:
    """Return a history with exactly enough room for these events, and their replay."""
    history = make_history(len(payloads))
    for payload in payloads:
        history.append(KeptFrame(payload.encode(), TOPIC, history), None)
    replay = Replay.of_newest(len(payloads), history, TOPIC, ("reader",))
    assert replay is not None
    return history, replay


def test_a_replay_takes_no_room() -> None:
    """A replay of any length leaves the room for live events as it is, and comes first."""
    calls: list[None] = []
    outbox = make(3, on_frames=lambda: calls.append(None))
    outbox.put_replay(replay("0123456789")[1])
    assert (len(calls), outbox.bytes_waiting) == (1, 0)
    offer(outbox, "abc")
    assert texts(outbox.take_nowait(3)) == ["0", "1", "2"]
    assert texts(outbox.take_nowait(ALL)) == [*"3456789", "a", "b", "t lost 1"]


def test_an_outbox_replays_until_the_last_past_event_is_taken() -> None:
    """Only past events count as a replay, not live ones that wait behind them."""
    outbox = make(3)
    outbox.put_replay(replay("01")[1])
    offer(outbox, "a")
    assert outbox.is_replaying
    assert texts(outbox.take_nowait(2)) == ["0", "1"]
    assert (outbox.is_replaying, outbox.empty()) == (False, False)


def test_what_a_replay_leaves_out_takes_room() -> None:
    """The offsets of the client's own messages count towards the bytes that wait for it."""
    outbox, history = make(), make_history(9)
    for publisher in "xmmx":
        history.append(KeptFrame(publisher.encode(), TOPIC, history), publisher)
    replay = Replay.of_newest(9, history, TOPIC, ("m",))
    assert replay is not None
    outbox.put_replay(replay)
    offer(outbox, "a")
    assert outbox.bytes_waiting == 2 * 8 + 1
    assert texts(outbox.take_nowait(1)) == ["x"]
    assert take_all(outbox) == ["x", "a"]
    assert outbox.bytes_waiting == 0


def test_frames_before_a_replay_leave_before_it() -> None:
    """Frames queued before a replay leave before it, whatever the size of the pieces."""
    for max_bytes in (1, 2, 3, ALL):
        outbox = make(10)
        outbox.put_reply(reply("r"))
        outbox.put_replay(replay("01")[1])
        outbox.put_replay(replay("23")[1])
        offer(outbox, "ab")
        taken: list[str] = []
        while not outbox.empty():
            taken += texts(outbox.take_nowait(max_bytes))
        assert taken == [*"r0123ab"]


def test_losses_of_a_replay_are_reported_in_their_place() -> None:
    """Events evicted from the history before they were replayed are reported in their place."""
    for max_bytes in (1, ALL):
        before = TOPIC.dropped
        outbox = make(10)
        history, past = replay("012")
        outbox.put_replay(past)
        offer(outbox, "a")
        for payload in "34":
            history.append(KeptFrame(payload.encode(), TOPIC, history), None)
        taken: list[str] = []
        while not outbox.empty():
            taken += texts(outbox.take_nowait(max_bytes))
        assert taken == ["t lost 2, 1 to 2", "2", "a"]
        assert TOPIC.dropped == before + 2


def test_drop_oldest_never_drops_a_replay() -> None:
    """`drop_oldest` never drops a replay, because that would free no room."""
    outbox = make(2)
    outbox.put_replay(replay("01")[1])
    offer(outbox, "abc", OLDEST)
    assert texts(outbox.take_nowait(ALL)) == ["o lost 2", "0", "1", "c"]


class Kept:
    """A topic that keeps history, as an outbox sees it."""

    def __init__(self, name: str, capacity: int, overflow: Overflow = Overflow.CATCH_UP) -> None:
        self.history = make_history(capacity)
        self.counters = TopicCounters(name, overflow=overflow)

    def offer(self, outbox: Outbox, payloads: str, own: str = "") -> None:
        """Publish one event for each letter, and offer those that are not the reader's own."""
        for payload in payloads:
            frame = KeptFrame(payload.encode(), self.counters, self.history)
            self.history.append(frame, None)
            if payload not in own:
                self.counters.delivered += 1
                outbox.offer(frame)


@pytest.mark.parametrize("policy", [Overflow.DROP_NEWEST, Overflow.DROP_OLDEST])
def test_a_loss_has_its_offsets(policy: Overflow) -> None:
    """If the topic keeps history, the notice has the offsets of the first and the last event."""
    outbox, topic = make(), Kept("t", 10, policy)
    topic.offer(outbox, "abcdemf", own="m")
    notice, *rest = sorted(take_all(outbox), key=len, reverse=True)
    if policy is Overflow.DROP_NEWEST:
        assert (notice, rest) == ("t lost 3, 4 to 7", ["a", "b", "c"])
    else:
        assert (notice, rest) == ("t lost 3, 1 to 3", ["d", "e", "f"])


def test_topics_of_one_name_have_notices_of_their_own() -> None:
    """The losses of a topic that was deleted are not mixed with those of its successor."""
    outbox = make(1)
    old, new = (Kept("t", 10, Overflow.DROP_NEWEST) for _ in range(2))
    old.offer(outbox, "abc")
    new.offer(outbox, "d")
    assert take_all(outbox) == ["a", "t lost 2, 2 to 3", "t lost 1, 1 to 1"]


def test_catch_up_loses_nothing() -> None:
    """With `catch_up`, what has no room is fetched from the history: in order, and all of it."""
    for max_bytes in (1, 2, 5, ALL):
        outbox, topic = make(2), Kept("t", 10)
        topic.offer(outbox, "abcdemf", own="m")
        assert (outbox.qsize(), outbox.bytes_waiting, topic.counters.dropped) == (3, 2, 0)
        taken: list[str] = []
        while not outbox.empty():
            taken += texts(outbox.take_nowait(max_bytes))
        assert taken == list("abcdef")
        topic.offer(outbox, "g")
        assert texts(outbox.take_nowait(ALL)) == ["g"]


def test_no_event_overtakes_those_to_catch_up_with() -> None:
    """Even when there is room again, the next events wait their turn behind earlier ones."""
    outbox, topic = make(2), Kept("t", 10)
    topic.offer(outbox, "abcde")
    assert texts(outbox.take_nowait(3)) == ["a", "b", "c"]
    assert not outbox.full()
    offer(outbox, "x", OTHER)
    topic.offer(outbox, "fg")
    assert texts(outbox.take_nowait(1)) == ["d"]
    topic.offer(outbox, "h")
    assert texts(outbox.take_nowait(ALL)) == ["x", "e", "f", "g", "h"]


def test_others_do_not_wait_until_a_client_has_caught_up() -> None:
    """Replies and events of other topics get their turn between the events of a backlog."""
    outbox, topic, second = make(2), Kept("t", 10), Kept("s", 10)
    topic.offer(outbox, "abcdef")
    assert texts(outbox.take_nowait(3)) == ["a", "b", "c"]
    outbox.put_reply(reply("r"))
    second.offer(outbox, "uvw")
    offer(outbox, "x", OTHER)
    assert texts(outbox.take_nowait(2)) == ["d", "e"]
    assert texts(outbox.take_nowait(2)) == ["r", "u"]
    topic.offer(outbox, "g")
    assert texts(outbox.take_nowait(2)) == ["f", "g"]
    assert texts(outbox.take_nowait(ALL)) == ["u lost 1", "v", "w"]


def test_catching_up_ends_where_the_history_ends() -> None:
    """What the history no longer has is lost: exactly reported in its place, and counted."""
    overflows: list[Overflow] = []
    outbox, topic = make(1, on_overflow=overflows.append), Kept("t", 2)
    topic.offer(outbox, "abcmde", own="m")
    assert texts(outbox.take_nowait(ALL)) == ["a", "t lost 2, 2 to 3", "d", "e"]
    assert overflows == [Overflow.CATCH_UP]
    assert (topic.counters.delivered, topic.counters.dropped, outbox.dropped) == (3, 2, 2)
    assert topic.counters.dropped_from_history == 0


def test_end_of_a_subscription_that_catches_up() -> None:
    """What the client has missed so far leaves before what follows, and nothing later."""
    outbox, topic = make(1), Kept("t", 10)
    topic.offer(outbox, "abcd")
    assert texts(outbox.take_nowait(1)) == ["a"]
    outbox.end_catch_up(topic.counters)
    outbox.end_catch_up(topic.counters)
    outbox.put_reply(reply("unsubscribed"))
    assert texts(outbox.take_nowait(1)) == ["b"]
    topic.offer(outbox, "e", own="e")
    outbox.put_reply(reply("subscribed again"))
    topic.offer(outbox, "f")
    assert take_all(outbox) == [*"cd", "unsubscribed", "subscribed again", "f"]


def test_catch_up_without_history_drops_the_newest() -> None:
    """A topic that keeps no history has nothing to catch up with."""
    outbox = make(1)
    offer(outbox, "abc", TopicCounters("t", overflow=Overflow.CATCH_UP))
    assert take_all(outbox) == ["a", "t lost 2"]


def test_close_while_catching_up() -> None:
    """A closed outbox takes nothing more and counts nothing as lost."""
    outbox, topic = make(1), Kept("t", 1)
    topic.offer(outbox, "abc")
    outbox.close()
    topic.offer(outbox, "d")
    assert (outbox.take_nowait(ALL), outbox.qsize(), topic.counters.dropped) == ([], 0, 0)


async def test_wait_for_room() -> None:
    """`wait_for_room` returns at once if there is room, otherwise when frames are taken out."""
    outbox = make(1)
    await outbox.wait_for_room()
    offer(outbox, "a")
    waiting = asyncio.ensure_future(outbox.wait_for_room())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.take_nowait(ALL)
    await waiting


async def test_cancelled_wait_for_room() -> None:
    """A cancelled `wait_for_room` does not disturb a later take."""
    outbox = make(1)
    offer(outbox, "a")
    waiting = asyncio.ensure_future(outbox.wait_for_room())
    await asyncio.sleep(0)
    waiting.cancel()
    outbox.take_nowait(ALL)
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_get_waits_for_a_frame() -> None:
    """`get` waits for a frame and returns one at a time, as with any `asyncio.Queue`."""
    outbox = make(1)
    getting = asyncio.ensure_future(outbox.get())
    await asyncio.sleep(0)
    offer(outbox, "ab")
    assert (await getting).text == "a"
    assert (await outbox.get()).text == "t lost 1"
    outbox.put_nowait(reply("r"))
    assert outbox.get_nowait().text == "r"
    with pytest.raises(asyncio.QueueEmpty):
        outbox.get_nowait()


async def test_close() -> None:
    """Closing discards everything, refuses new frames and ends every wait."""
    outbox = make(1)
    offer(outbox, "a")
    outbox.put_replay(replay("0")[1])
    waiting = asyncio.ensure_future(outbox.wait_for_room())
    await asyncio.sleep(0)
    dropped = TOPIC.dropped
    outbox.close()
    await waiting
    assert outbox.closed
    offer(outbox, "b")
    outbox.put_reply(reply("r"))
    outbox.put_replay(replay("0")[1])
    assert outbox.take_nowait(ALL) == []
    assert (outbox.qsize(), TOPIC.dropped) == (0, dropped)


def test_a_reply_cannot_be_offered() -> None:
    """Offering a reply is refused, because an offered frame may be dropped."""
    outbox = make(1)
    offer(outbox, "a")
    with pytest.raises(ValueError, match="may not be dropped"):
        outbox.offer(reply("r"))


def test_repr() -> None:
    """The repr shows the number of frames, bytes and losses."""
    outbox = make(1)
    offer(outbox, "ab")
    assert repr(outbox) == "<Outbox 1 frames, 1 bytes, 1 losses>"


async def test_put_waits_for_room() -> None:
    """`put` waits for room, as with any `asyncio.Queue`, and several callers may wait."""
    outbox = make(1)
    await outbox.put(reply("a"))
    with pytest.raises(asyncio.QueueFull):
        outbox.put_nowait(reply("refused"))
    putting = [asyncio.ensure_future(outbox.put(reply(text))) for text in "bc"]
    await asyncio.sleep(0)
    assert [task.done() for task in putting] == [False, False]
    assert [(await outbox.get()).text for _ in range(3)] == ["a", "b", "c"]
    await asyncio.gather(*putting)


async def test_several_readers_get_one_frame_each() -> None:
    """Every waiting `get` receives one frame, in the order of the calls."""
    outbox = make(3)
    getting = [asyncio.ensure_future(outbox.get()) for _ in range(2)]
    await asyncio.sleep(0)
    outbox.put_nowait(reply("a"))
    outbox.put_nowait(reply("b"))
    assert [frame.text for frame in await asyncio.gather(*getting)] == ["a", "b"]


async def test_get_ends_when_the_outbox_is_closed() -> None:
    """A waiting `get` raises `QueueEmpty` when the outbox is closed."""
    outbox = make()
    getting = asyncio.ensure_future(outbox.get())
    await asyncio.sleep(0)
    outbox.close()
    with pytest.raises(asyncio.QueueEmpty):
        await getting


@pytest.mark.parametrize("name", ["join", "task_done", "shutdown"])
def test_methods_that_track_tasks_are_missing(name: str) -> None:
    """Methods that track unfinished tasks are missing, since the outbox does not track them."""
    assert isinstance(make(), asyncio.Queue)
    assert not hasattr(make(), name)


def test_notices_may_be_left_out() -> None:
    """A notice enters if there is room, if need be after a flush, and its loss is not counted."""
    flushed: list[str] = []
    outbox = make(2)
    assert outbox.put_notice(reply("a"))
    assert outbox.put_notice(reply("b"))
    assert not outbox.put_notice(reply("c"))
    outbox._on_full = lambda: flushed.extend(texts(outbox.take_nowait(1)))
    assert outbox.put_notice(reply("d"))
    assert flushed + texts(outbox.take_nowait(ALL)) == ["a", "b", "d"]
    assert outbox.dropped == 0
    outbox.close()
    assert not outbox.put_notice(reply("e"))
    assert outbox.empty()


def test_gap_is_a_notice_while_there_is_room() -> None:
    """A loss on the way here is told at its place, and changes no counter of the topic."""
    outbox = make()
    before = TOPIC.dropped
    offer(outbox, "a")
    outbox.put_gap(reply("gap"), TOPIC, 3, is_bound=False)
    offer(outbox, "b")
    assert texts(outbox.take_nowait(ALL)) == ["a", "gap", "b"]
    assert (TOPIC.dropped, outbox.dropped) == (before, 0)


@pytest.mark.parametrize(
    ("bounds", "told"), [((False, False), "t gap 5"), ((True, False), "t gap at most 5")]
)
def test_gaps_of_a_full_outbox(bounds: tuple[bool, bool], told: str) -> None:
    """Without room, what was lost on the way has one notice later, apart from what was dropped."""
    outbox = make(2)
    before = TOPIC.dropped
    offer(outbox, "ab")
    outbox.put_gap(reply("gap"), TOPIC, 3, is_bound=bounds[0])
    offer(outbox, "c")
    outbox.put_gap(reply("gap"), TOPIC, 2, is_bound=bounds[1])
    assert (TOPIC.dropped, outbox.dropped) == (before + 1, 1)
    assert take_all(outbox) == ["a", "b", told, "t lost 1"]
    offer(outbox, "d")
    assert take_all(outbox) == ["d"]


def test_gap_of_a_full_outbox_comes_before_the_next_event() -> None:
    """No event overtakes the notice of a loss on the way here that could not be put at once."""
    outbox = make(2)
    offer(outbox, "ab")
    outbox.put_gap(reply("gap"), TOPIC, 3, is_bound=False)
    assert texts(outbox.take_nowait(ALL)) == ["a", "b"]
    offer(outbox, "c")
    assert take_all(outbox) == ["t gap 3", "c"]


def test_gap_of_a_full_outbox_that_drops_its_oldest() -> None:
    """With `drop_oldest` what was lost on the way is told first, like all that was dropped."""
    outbox = make(2)
    offer(outbox, "ab", OLDEST)
    outbox.put_gap(reply("gap"), OLDEST, 3, is_bound=False)
    offer(outbox, "c", OLDEST)
    assert take_all(outbox) == ["o lost 1", "o gap 3", "b", "c"]


def test_gap_applies_the_policy_once() -> None:
    """The policy applies to the first loss on the way that a full outbox could not be told of."""
    policies: list[Overflow] = []
    outbox = make(1, on_overflow=policies.append)
    offer(outbox, "a")
    outbox.put_gap(reply("gap"), TOPIC, 3, is_bound=False)
    outbox.put_gap(reply("gap"), TOPIC, 3, is_bound=False)
    assert policies == [Overflow.DROP_NEWEST]


def test_closed_outbox_has_no_gaps() -> None:
    """A closed outbox counts nothing any more."""
    outbox = make()
    outbox.close()
    outbox.put_gap(reply("gap"), TOPIC, 3, is_bound=False)
    assert (outbox.dropped, outbox.empty()) == (0, True)
