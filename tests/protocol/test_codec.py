"""Bytes to commands and replies to frames; the live tests have every refusal's wording."""

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from pubsub.core import errors as core
from pubsub.protocol import codec
from pubsub.protocol.codes import Close, ErrorCode
from pubsub.protocol.errors import BadRequest, MessageTooLarge, RateLimited, error_code
from pubsub.protocol.messages import Message, Ping, Publish, Subscribe, Unsubscribe
from tests.bad_messages import BAD_MESSAGES, TOPIC_RULE

UUID = "550e8400-e29b-41d4-a716-446655440000"
LIMIT = 65_536


def decode(text: str) -> Any:
    """Decode within the default limit."""
    return codec.decode_command(text, max_bytes=LIMIT)


def refusal(text: str) -> BadRequest:
    """Return how a text is refused."""
    with pytest.raises(BadRequest) as refused:
        decode(text)
    return refused.value


def test_commands() -> None:
    """Each becomes the structure of its type, with unknown fields ignored."""
    assert decode('{"type":"ping","client_id":"x"}') == Ping()
    assert decode('{"request_id":"r","type":"unsubscribe","topic":"t"}') == Unsubscribe("t", "r")
    assert decode('{"type":"subscribe","topic":"t","last_n":5}') == Subscribe("t", 5)
    command = decode(
        f'{{"type":"publish","topic":"t","message":{{"payload":[ 1 ],"id":"{UUID}"}}}}'
    )
    assert isinstance(command, Publish)
    assert (command.topic, command.message.id) == ("t", UUID)
    assert bytes(command.message.payload) == b"[ 1 ]"


# json.dumps writes half a surrogate pair as an escape, which RFC 8259 allows and msgspec refuses.
SURROGATES = st.characters(categories=["Cs"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(SURROGATES | st.characters()), inner),
    max_leaves=10,
)
SPACING = st.sampled_from([(",", ":"), (", ", ": "), ("\n,\t", " : ")])


@given(payload=JSON, separators=SPACING, ascii_only=st.booleans())
def test_payload_is_the_text_that_was_written(
    payload: Any, separators: tuple[str, str], ascii_only: bool
) -> None:
    """Whatever way it is decoded, fast or slowly."""
    text = json.dumps(payload, separators=separators, ensure_ascii=ascii_only)
    if not ascii_only and re.search("[\ud800-\udfff]", text):
        return  # a text frame is UTF-8, which has no form for half a pair
    decoys = '"x":{"payload":0,"message":{"payload":0}},"message":{"payload":1}'
    command = decode(
        f'{{"type":"publish","topic":"t",{decoys},'
        f'"message" : {{"payload":2,"id":"{UUID}","payload" :\n{text} }} }}'
    )
    assert bytes(command.message.payload).decode() == text
    frame = codec.encode_event("t", command.message)
    assert f'"payload":{text}}},"ts"' in frame.text
    publication = codec.decode_publication(f'{{"payload":{text},"id":"{UUID}"}}'.encode())
    assert bytes(publication.payload).decode() == text


@given(st.text() | JSON.map(json.dumps))
def test_anything_is_a_command_or_refused(text: str) -> None:
    """No other exception comes out."""
    with suppress(BadRequest):
        decode(text)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_accepted_or_refused(body: bytes) -> None:
    """The same for the bodies of REST requests."""
    for function in (codec.decode_new_topic, codec.decode_publication):
        with suppress(BadRequest):
            function(body)


def test_refusal_carries_what_could_be_read() -> None:
    """The request id and the topic, if they are valid themselves."""
    error = refusal('{"type":"publish","topic":"t","request_id":"r"}')
    assert (error.request_id, error.topic) == ("r", "t")
    error = refusal('{"type":"publish","topic":"a b","request_id":5}')
    assert (error.request_id, error.topic) == (UNSET, UNSET)
    error = refusal('{"type":"publish","topic":5}')
    assert error.topic is UNSET


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_bad_message(name: str) -> None:
    """The sentence names what is wrong; all but the rule for topic names is checked here."""
    text, sentence = BAD_MESSAGES[name]
    if sentence == TOPIC_RULE and "\\ud800" not in text:
        assert decode(text).topic == json.loads(text)["topic"]
    else:
        assert str(refusal(text)).startswith(sentence)


def test_half_a_surrogate_pair_where_nobody_looks() -> None:
    """Valid JSON, so every command and every body may have one in an unknown field."""
    extra = '"x":"\\ud800"'
    assert decode(f'{{"type":"ping",{extra}}}') == Ping()
    assert decode(f'{{"type":"unsubscribe","topic":"t",{extra}}}') == Unsubscribe("t")
    assert decode(f'{{"type":"subscribe","topic":"t",{extra}}}') == Subscribe("t")
    publication = codec.decode_publication(b'{"payload":"\\ud800"}')
    assert bytes(publication.payload) == b'"\\ud800"'
    assert publication.id is not UNSET


def test_size_is_counted_in_bytes() -> None:
    """Of UTF-8, and the request id is read all the same."""
    fits = '{"type":"ping","request_id":"é"}'
    size = len(fits.encode())
    assert codec.decode_command(fits, max_bytes=size) == Ping("é")
    with pytest.raises(MessageTooLarge, match=f"exceeds {size - 1} bytes") as refused:
        codec.decode_command(fits, max_bytes=size - 1)
    assert refused.value.request_id == "é"
    with pytest.raises(MessageTooLarge) as refused:
        codec.decode_command("x" * 20, max_bytes=10)
    assert refused.value.request_id is UNSET


def test_binary_frames_are_refused() -> None:
    """With their request id, if there is one."""
    with pytest.raises(BadRequest, match="binary frames are not accepted") as refused:
        codec.refuse_binary(b'{"request_id":"r"}')
    assert refused.value.request_id == "r"


def test_messages_over_the_rate_are_refused() -> None:
    """Whatever they hold, with their request id, if there is one."""
    for text, request_id in (('{"request_id":"r"}', "r"), ("nonsense", UNSET)):
        with pytest.raises(RateLimited, match="too many messages") as refused:
            codec.refuse_rate(text)
        assert refused.value.request_id == request_id


def test_numbers_of_any_length() -> None:
    """Python's own limit on the digits of an integer is nobody's concern."""
    command = decode('{"type":"subscribe","topic":"t","last_n":%s}' % ("9" * 10_000))
    assert command.last_n > 10**30


def test_new_topic() -> None:
    """With a history of its own, or none."""
    assert codec.decode_new_topic(b'{"name":"t","more":1}').history is None
    assert codec.decode_new_topic(b'{"name":"t","history":0}').history == 0


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"\xff", "body is not UTF-8"),
        (b'{"payload":"\xff"}', "body is not UTF-8"),
        (b"{}", "payload is required"),
        (b'{"payload":1,"id":null}', "id must be a valid UUID"),
    ],
)
def test_bad_publication(body: bytes, sentence: str) -> None:
    """The same for the body of a request."""
    with pytest.raises(BadRequest, match=sentence):
        codec.decode_publication(body)


@pytest.mark.parametrize("body", [b"{}", b'{"name":1}', b'{"name":"t","history":1001}'])
def test_bad_topic(body: bytes) -> None:
    """And for that of another."""
    with pytest.raises(BadRequest, match=r"name|history"):
        codec.decode_new_topic(body)


def test_publication_without_id() -> None:
    """The server makes one, a new one each time."""
    ids = {codec.decode_publication(b'{"payload":1}').id for _ in range(2)}
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(one)) for one in ids)


def test_frames() -> None:
    """None is an event of a topic before it is published; what is no event never is."""
    message = Message(id=UUID, payload=Raw(b"1"))
    frames = [
        codec.encode_event("t", message),
        codec.encode_ack("t"),
        codec.encode_pong(),
        codec.encode_loss("t", 1),
        codec.encode_topic_deleted("t"),
        codec.encode_error(ErrorCode.INTERNAL, "internal error"),
    ]
    assert {frame.topic for frame in frames} == {None}
    assert {json.loads(frame.text)["type"] for frame in frames} == {
        *("event", "ack", "pong", "error", "info")
    }


def test_notice_of_a_loss() -> None:
    """The number as a sentence and as a number."""
    one, many = (json.loads(codec.encode_loss("t", count).text) for count in (1, 17))
    assert one["error"] == {"code": "SLOW_CONSUMER", "message": "1 message dropped"}
    assert (many["error"]["message"], many["dropped"]) == ("17 messages dropped", 17)


def test_refusal_of_a_command() -> None:
    """It names the topic, unless the topic is what is wrong."""
    command = Subscribe("t", request_id="r")
    refused = json.loads(codec.encode_refusal(command, ErrorCode.TOPIC_NOT_FOUND, "x").text)
    assert (refused["request_id"], refused["topic"]) == ("r", "t")
    refused = json.loads(codec.encode_refusal(command, ErrorCode.BAD_REQUEST, "x").text)
    assert "topic" not in refused
    assert "topic" not in json.loads(codec.encode_refusal(Ping(), ErrorCode.INTERNAL, "x").text)


def test_timestamp() -> None:
    """RFC 3339, UTC, milliseconds."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", codec.timestamp())


def test_python_values_as_payloads() -> None:
    """What JSON has a form for; raw JSON is taken as it is."""
    assert bytes(codec.encode_payload({"a": [1.5, None]})) == b'{"a":[1.5,null]}'
    assert bytes(codec.encode_payload(Raw(b"99.50"))) == b"99.50"
    with pytest.raises(TypeError):
        codec.encode_payload(object())


def test_message_ids_of_the_servers_own() -> None:
    """Are held to the same rule."""
    assert codec.check_message_id(UUID) == UUID
    with pytest.raises(ValueError, match="must be a UUID"):
        codec.check_message_id(UUID + "0")


def test_codes() -> None:
    """Every refusal of the broker has one; what no client can cause is INTERNAL."""
    assert error_code(core.InvalidTopicName("")) is ErrorCode.BAD_REQUEST
    assert error_code(core.LimitExceeded("topics", 1)) is ErrorCode.LIMIT_EXCEEDED
    assert error_code(core.ForeignThread()) is ErrorCode.INTERNAL
    assert (Close.SLOW.code, Close.SLOW.reason) == (3008, "slow")
