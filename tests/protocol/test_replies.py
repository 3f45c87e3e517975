"""Replies out: the frames that the server sends."""

import functools
import json
import re
from datetime import datetime

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from pubsub.core.counters import TopicCounters
from pubsub.core.history import KeptFrame
from pubsub.core.loss import Gap, Loss
from pubsub.core.notices import Member as Present
from pubsub.core.notices import Notice, Who
from pubsub.core.publication import Position, Publication
from pubsub.core.topic import HistoryPage
from pubsub.protocol import replies
from pubsub.protocol.codes import ErrorCode
from pubsub.protocol.messages import Event, History, KeptMessage, Message
from tests.core.support import make_history
from tests.protocol.support import JSON, UUID


def publication(topic: str, text: str, time: int = 0) -> Publication:
    """Return a publication of a payload."""
    return Publication(topic, UUID, Raw(text.encode()), None, time, None)


@given(payload=JSON)
def test_event_carries_the_payload_unchanged(payload: object) -> None:
    """An event contains the exact text of the payload."""
    text = json.dumps(payload)
    event = replies.encode_event(publication("t", text)).decode()
    assert f'"payload":{text}}},"ts"' in event


@given(topic=st.text(), payload=JSON, time=st.integers(0, 4_000_000_000_000))
def test_event_is_what_its_structure_encodes_to(topic: str, payload: object, time: int) -> None:
    """Putting the event together by hand makes the same bytes as msgspec does."""
    assume(topic.isprintable())
    text = json.dumps(payload)
    event = replies.encode_event(publication(topic, text, time))
    message = Message(id=UUID, payload=Raw(text.encode()))
    ts = json.loads(event)["ts"]
    assert event == msgspec.json.encode(Event(topic=topic, message=message, ts=ts))
    assert datetime.fromisoformat(ts).timestamp() * 1000 == pytest.approx(time)


@given(payload=JSON, user=st.none() | st.text())
def test_an_event_can_be_completed_later(payload: object, user: str | None) -> None:
    """An event that gets its offset and its user later is the same as one encoded with both."""
    event = publication("t", json.dumps(payload))
    bare = replies.encode_event(event)
    event.offset, event.user = 17, user
    expected = replies.encode_event_with_offset_and_user(event)
    assert replies.complete_event(bare, 17, user) == expected


def test_frames() -> None:
    """Replies and notices belong to no topic, so they are never dropped."""
    frames = [
        replies.encode_ack("t"),
        replies.encode_pong(),
        replies.encode_loss(Loss("t", 1)),
        replies.encode_topic_deleted("t"),
        replies.encode_error(ErrorCode.INTERNAL, "internal error"),
    ]
    assert {frame.counters for frame in frames} == {None}
    assert [json.loads(frame.text)["type"] for frame in frames] == [
        *("ack", "pong", "error", "info", "error")
    ]


def test_notice_of_a_reset_position() -> None:
    """The notice that a topic begins again has the new position, in the documented order."""
    notice = replies.encode_position_reset("orders", "k3Lm90Qe")
    assert (notice.topic, notice.position) == ("orders", ("k3Lm90Qe", 0))
    text = notice.text
    ts = json.loads(text)["ts"]
    assert text == (
        '{"type":"info","topic":"orders","msg":"position_reset","epoch":"k3Lm90Qe","offset":0,'
        f'"ts":"{ts}"}}'
    )


def test_notice_of_a_loss() -> None:
    """A loss is reported in words and as a number."""
    one, many = (json.loads(replies.encode_loss(Loss("t", count)).text) for count in (1, 17))
    assert one["error"] == {"code": "SLOW_CONSUMER", "message": "1 message dropped"}
    assert (many["error"]["message"], many["dropped"]) == ("17 messages dropped", 17)
    assert list(many) == ["type", "topic", "error", "dropped", "ts"]


def test_notice_of_a_loss_between_processes() -> None:
    """A loss between processes is reported in words and as an exact number."""
    one, many = (json.loads(replies.encode_relay_gap("t", dropped=n).text) for n in (1, 3))
    assert one["error"] == {
        "code": "RELAY_GAP",
        "message": "1 message from another process was lost",
    }
    assert many["error"]["message"] == "3 messages from another process were lost"
    assert many["dropped"] == 3
    assert list(many) == ["type", "topic", "error", "dropped", "ts"]


def test_notice_of_a_bounded_loss_between_processes() -> None:
    """A loss between processes that can only be bounded has another field, in the same place."""
    notice = json.loads(replies.encode_relay_gap("t", at_most=3).text)
    assert notice["error"]["message"] == "at most 3 messages from another process were lost"
    assert notice["at_most"] == 3
    assert list(notice) == ["type", "topic", "error", "at_most", "ts"]


@pytest.mark.parametrize(("is_bound", "field"), [(False, "dropped"), (True, "at_most")])
def test_later_notice_of_a_loss_between_processes(is_bound: bool, field: str) -> None:
    """A loss between processes has the same notice if there was no room for it at once."""
    gap = Gap("t", 3)
    gap.is_bound = is_bound
    at_once = replies.encode_relay_gap("t", **{field: 3})
    later = json.loads(replies.encode_loss(gap).text)
    assert later == {**json.loads(at_once.text), "ts": later["ts"]}


def test_notice_of_a_loss_with_offsets() -> None:
    """For a topic that keeps history, the offsets of the loss follow its size."""
    notice = replies.encode_loss(Loss("t", 17, 43, 59)).text
    assert '"dropped":17,"first":43,"last":59,"ts":' in notice


def test_notice_of_a_shutdown() -> None:
    """The notice says when to come back; it has no topic."""
    notice = json.loads(replies.encode_shutdown(1730).text)
    assert list(notice) == ["type", "msg", "reconnect_in_ms", "ts"]
    assert (notice["type"], notice["msg"], notice["reconnect_in_ms"]) == ("info", "shutdown", 1730)


def test_timestamp() -> None:
    """Timestamps are RFC 3339 in UTC with milliseconds."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", replies.timestamp())


def test_python_values_as_payloads() -> None:
    """A payload may be any value that JSON can represent; raw JSON is taken as it is."""
    assert bytes(replies.encode_payload({"a": [1.5, None]})) == b'{"a":[1.5,null]}'
    assert bytes(replies.encode_payload(Raw(b"99.50"))) == b"99.50"
    with pytest.raises(TypeError):
        replies.encode_payload(object())


TEXTS = st.text() | st.sampled_from(['","offset":7', '},"ts":"', '"user":"x"}'])


@given(payload=TEXTS, user=st.none() | TEXTS, offset=st.integers(1, 10**12))
def test_kept_messages_are_what_their_structures_encode_to(
    payload: str, user: str | None, offset: int
) -> None:
    """An event is moved into a history without being decoded, whatever it contains."""
    message = publication("orders", json.dumps({"offset": offset, "text": payload}))
    message.offset, message.user = offset, user
    event = replies.encode_event_with_offset_and_user(message)
    decoded = msgspec.json.decode(event, type=Event)
    assert event == msgspec.json.encode(decoded)
    frame = KeptFrame(event, TopicCounters("orders"), make_history(1), offset)
    page = HistoryPage(Position("x9Qa71Bz", offset + 3), True, [frame])
    kept = KeptMessage(offset, decoded.message, decoded.ts, decoded.user)
    for frame, request_id in [
        (replies.encode_history("orders", "h", page), "h"),
        (replies.encode_history("orders", UNSET, page), UNSET),
    ]:
        history = msgspec.json.decode(frame.payload, type=History)
        assert frame.payload == msgspec.json.encode(history)
        assert (history.request_id, history.messages) == (request_id, [kept])
    body = json.loads(replies.encode_history_body("orders", page))
    assert (body["offset"], body["complete"], len(body["messages"])) == (offset + 3, True, 1)


ANN = Present(Who("ann", None), b'{"name":"Ann"}', 2)
CLIENT = Present(Who(None, UUID), b"", 1)


def decoded(notice: Notice) -> dict[str, object]:
    """Return what a notice is encoded to, without its time."""
    presence = json.loads(replies.encode_presence(notice).text)
    assert list(presence)[:3] == ["type", "topic", "ts"]
    del presence["ts"]
    return presence


def test_presence() -> None:
    """All members, a change, and the counts alone have the fields of the contract."""
    head = {"type": "presence", "topic": "t", "clients": 3, "users": 1}
    notice = functools.partial(Notice, topic="t", clients=3, users=1)
    ann = {"user": "ann", "info": {"name": "Ann"}, "clients": 2}
    assert decoded(notice(members=[ANN, CLIENT])) == {
        **head,
        "members": [ann, {"client_id": UUID}],
    }
    assert decoded(notice(joined=[], left=[ANN.who, CLIENT.who])) == {
        **head,
        "joined": [],
        "left": [{"user": "ann"}, {"client_id": UUID}],
    }
    assert decoded(notice()) == {**head, "truncated": True}
    assert '"request_id":"p","topic"' in replies.encode_presence(notice(), "p").text


def test_pong_with_the_process() -> None:
    """A pong has the process that sends it, last, if the client asked for it."""
    pong = json.loads(replies.encode_pong("p", process="9f3c").text)
    assert list(pong) == ["type", "request_id", "ts", "process"]
    assert pong["process"] == "9f3c"


def test_error_of_unknown_fate() -> None:
    """An error says beside it if the change may have been carried out nevertheless."""
    error = json.loads(replies.encode_error(ErrorCode.UNAVAILABLE, "x", unknown_fate=True).text)
    assert list(error) == ["type", "error", "unknown_fate", "ts"]
    assert error["unknown_fate"] is True


def test_ack_of_a_publication_that_others_missed() -> None:
    """The ack of a publication that has not reached other processes says so."""
    message = publication("orders", "1")
    ack = json.loads(replies.encode_published("orders", "p", message, scope="process").text)
    assert list(ack) == ["type", "request_id", "topic", "status", "ts", "scope"]
