"""The text of server-sent events."""

from dataclasses import dataclass

import pytest

from pubsub.core.counters import TopicCounters
from pubsub.core.history import History, HistoryBudget, KeptFrame
from pubsub.core.publication import Frame, Position, Reset
from pubsub.transport import sse
from pubsub.transport.sse import Bookmark, parse_id, serialize

NOWHERE = Bookmark({})


@dataclass
class _Reason:
    code: int
    reason: str


def reply(text: str) -> Frame:
    """Return a frame that is not an event."""
    return Frame(text.encode())


def event(topic: str, offset: int | None = None) -> Frame:
    """Return the event of a topic."""
    payload, counters = b'{"type":"event","n":1}', TopicCounters(topic)
    if offset is None:
        return Frame(payload, counters)
    history = History(1, HistoryBudget(1 << 20))
    return KeptFrame(payload, counters, history, offset)


def test_type_and_data() -> None:
    """A frame becomes one event, with its type and its text."""
    batch = [reply('{"type":"info","msg":"a"}'), event("t")]
    assert serialize(batch, NOWHERE) == (
        b'event: info\ndata: {"type":"info","msg":"a"}\n\n'
        b'event: event\ndata: {"type":"event","n":1}\n\n'
    )


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n"])
def test_line_breaks(line_break: str) -> None:
    """Each kind of line break begins a new line of data, and other separators do not."""
    frame = reply(f'{{"type":"event",{line_break}"a":"\u2028\x85\\n"}}')
    assert serialize([frame], NOWHERE).decode() == (
        'event: event\ndata: {"type":"event",\ndata: "a":"\u2028\x85\\n"}\n\n'
    )


def test_frame_that_a_websocket_has_framed() -> None:
    """A frame that has left over a WebSocket already has the same text."""
    frame = event("t")
    assert frame.unframed is not None
    frame.wire, frame.unframed = b"\x81\x16" + frame.unframed, None
    assert serialize([frame], NOWHERE) == b'event: event\ndata: {"type":"event","n":1}\n\n'


def test_comments() -> None:
    """A stream is kept alive by comments, and the last one says why it ends."""
    assert serialize([sse.KEEP_ALIVE], NOWHERE) == b": keep-alive\n\n"
    assert sse.ending(_Reason(3008, "slow")) == b": 3008 slow\n\n"


def ids(batch: list[Frame], bookmark: Bookmark) -> list[bytes]:
    """Return the lines with an id."""
    lines = serialize(batch, bookmark).splitlines()
    return [line.removeprefix(b"id: ") for line in lines if line.startswith(b"id: ")]


def test_id_of_one_topic() -> None:
    """The acknowledgement has the position at which the stream begins, an event its own."""
    bookmark = Bookmark({"t": Position("epoch123", 41)})
    ack = reply('{"type":"ack","topic":"t"}')
    batch = [ack, event("t", 42), event("plain"), reply('{"type":"info"}')]
    assert ids(batch, bookmark) == [b"epoch123:41", b"epoch123:42"]


def test_id_of_several_topics() -> None:
    """An id has the positions in all topics of the stream."""
    bookmark = Bookmark({"a": Position("A", 1), "b": Position("B", 7)})
    batch = [reply('{"type":"ack"}'), event("a", 2), event("b", 8), event("new", 1)]
    assert ids(batch, bookmark) == [b"A:1,B:7", b"A:2,B:7", b"A:2,B:8"]
    assert ids([event("a", 3)], bookmark) == [b"A:3,B:8"]


def test_same_text_is_shared() -> None:
    """Streams of one topic share the text of a batch, and no text of another epoch."""
    batch = [event("t", 1)]
    first, second = (Bookmark({"t": Position("A", offset)}) for offset in (0, 5))
    assert serialize(batch, first) is serialize(list(batch), second)
    assert ids(batch, Bookmark({"t": Position("B", 0)})) == [b"B:1"]
    assert ids([reply('{"type":"ack"}'), *batch], NOWHERE) == []


def reset(topic: str, epoch: str) -> Reset:
    """Return the notice that a topic begins again."""
    return Reset(b'{"type":"info"}', topic, Position(epoch, 0))


def test_id_after_a_reset() -> None:
    """The notice that a topic begins again has its new position, and later ids the new epoch."""
    bookmark = Bookmark({"t": Position("OLD", 57)})
    assert ids([event("t", 58), reset("t", "NEW")], bookmark) == [b"OLD:58", b"NEW:0"]
    assert ids([event("t", 1)], bookmark) == [b"NEW:1"]


def test_id_of_several_topics_after_a_reset() -> None:
    """A topic that begins again leaves the positions in the other topics as they are."""
    bookmark = Bookmark({"a": Position("A", 1), "b": Position("B", 7)})
    assert ids([reset("b", "NEW"), event("a", 2)], bookmark) == [b"A:1,NEW:0", b"A:2,NEW:0"]
    assert ids([event("b", 1)], bookmark) == [b"A:2,NEW:1"]


def test_reset_reaches_every_stream() -> None:
    """Each stream of a topic that begins again has the new epoch, whoever is served first."""
    first, second = (Bookmark({"t": Position("OLD", 57)}) for _ in range(2))
    batch = [reset("t", "NEW")]
    assert serialize(batch, first) == serialize(list(batch), second)
    assert ids([event("t", 1)], first) == ids([event("t", 1)], second) == [b"NEW:1"]


def test_reset_of_a_topic_without_a_position() -> None:
    """A topic that had no history when the stream began has no position in its ids."""
    bookmark = Bookmark({"t": Position("A", 1)})
    assert ids([reset("new", "NEW"), event("t", 2)], bookmark) == [b"A:2"]


@pytest.mark.parametrize(
    ("text", "positions"),
    [
        ("x9Qa71Bz:42", {"x9Qa71Bz": 42}),
        ("A:0,B:7", {"A": 0, "B": 7}),
        ("", None),
        ("A", None),
        ("A:", None),
        ("A:-1", None),
        ("A:1,", None),
        ("A:1;B:2", None),
        ("A:" + "1" * 17, None),
        ("A:٣", None),
    ],
)
def test_parse_id(text: str, positions: dict[str, int] | None) -> None:
    """An id is read back, and everything else is recognized as none."""
    assert parse_id(text) == positions
