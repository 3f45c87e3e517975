"""Bytes to commands, and replies to frames.

A command is decoded by msgspec straight into its structure; only when that fails is the text
looked at again, slowly, for a sentence that names the field at fault. A payload is carried as the
slice of text that the publisher wrote; its syntax is checked, but it is never built or re-encoded.
"""

import json
import re
import time
import uuid
from functools import lru_cache
from typing import Any, Never

import msgspec
from msgspec import UNSET, Raw, UnsetType

from pubsub.core.errors import InvalidTopicName
from pubsub.core.frame import Frame
from pubsub.core.limits import MAX_HISTORY
from pubsub.core.topic import validate_name
from pubsub.protocol.codes import ErrorCode
from pubsub.protocol.errors import BadRequest, MessageTooLarge, RateLimited
from pubsub.protocol.messages import (
    COMMAND_TYPES,
    MAX_REQUEST_ID_LENGTH,
    MESSAGE_ID_PATTERN,
    Ack,
    AnyCommand,
    Error,
    ErrorDetail,
    Event,
    Identified,
    Info,
    Message,
    NewTopic,
    Ping,
    Pong,
    Publication,
    Publish,
    Reply,
    Subscribe,
    Unsubscribe,
)

_encoder = msgspec.json.Encoder()
_command_decoder = msgspec.json.Decoder(AnyCommand)
_request_id_decoder = msgspec.json.Decoder(Identified)
_publication_decoder = msgspec.json.Decoder(Publication)

# --- Client to server ---------------------------------------------------------------------------


def decode_command(text: str, *, max_bytes: int) -> AnyCommand:
    """Decode one text frame.

    Raises:
        MessageTooLarge: It has more than ``max_bytes`` bytes.
        BadRequest: It is no command; the message says why, in the words of the contract.
    """
    if len(text) > max_bytes or not (text.isascii() or len(text.encode()) <= max_bytes):
        raise MessageTooLarge(f"message exceeds {max_bytes} bytes", request_id=_request_id(text))
    try:
        command: AnyCommand = _command_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return _decode_command_slowly(text)
    return command


def refuse_rate(message: str | bytes) -> Never:
    """Refuse a frame, whatever it holds, because there were too many before it.

    Raises:
        RateLimited: Always.
    """
    raise RateLimited("too many messages; send more slowly", request_id=_request_id(message))


def refuse_binary(data: bytes) -> Never:
    """Refuse a binary frame, with the request id of the JSON that it may hold.

    Raises:
        BadRequest: Always.
    """
    raise BadRequest(
        "binary frames are not accepted; send JSON in text frames",
        request_id=_request_id(data),
    )


def decode_new_topic(body: bytes) -> NewTopic:
    """Decode the body of ``POST /topics``; the name's own rule is the broker's to check.

    Raises:
        BadRequest: It is not JSON, or a field is missing or wrong.
    """
    fields = _object(_text(body))
    history = fields.get("history")
    if history is not None and (not _is_integer(history) or not 0 <= history <= MAX_HISTORY):
        raise BadRequest(f"history must be an integer from 0 to {MAX_HISTORY}")
    return NewTopic(name=_string(fields, "name"), history=history)


def decode_publication(body: bytes) -> Publication:
    """Decode the body of ``POST /topics/{name}/messages``, making an id where there is none.

    Raises:
        BadRequest: It is not JSON, or a field is missing or wrong.
    """
    # As text: from bytes msgspec would take a payload that is not UTF-8.
    text = _text(body)
    try:
        publication = _publication_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        fields = _object(text)
        publication = Publication(payload=_payload(fields, text, "payload"))
        if "id" in fields:
            publication.id = _valid_message_id(fields["id"], "id")
    if publication.id is UNSET:
        publication.id = str(uuid.uuid4())
    return publication


# --- The slow way: a sentence for what is wrong -------------------------------------------------


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not a JSON value")


def _integer(digits: str) -> int:
    # No number that means anything is longer; int() refuses what has thousands of digits.
    return int(digits[:40])


_decoder = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer)
_skip_space = re.compile(r"[ \t\n\r]*").match
_is_message_id = re.compile(MESSAGE_ID_PATTERN).match


def _decode_command_slowly(text: str) -> AnyCommand:
    fields = _object(text)
    request_id = _valid_request_id(fields)
    try:
        return _command(fields, text)
    except BadRequest as error:
        error.request_id = request_id
        error.topic = _valid_topic(fields)
        raise


def _command(fields: dict[str, Any], text: str) -> AnyCommand:
    kind = fields.get("type")
    if kind not in COMMAND_TYPES:
        given = "type is required" if kind is None else "unknown type"
        raise BadRequest(f"{given}; known types are {', '.join(COMMAND_TYPES)}")
    if "request_id" in fields and _valid_request_id(fields) is UNSET:
        raise BadRequest(
            f"request_id must be a string of at most {MAX_REQUEST_ID_LENGTH} characters"
        )
    request_id = _valid_request_id(fields)
    if kind == "ping":
        return Ping(request_id=request_id)
    topic = _string(fields, "topic")
    if not _is_encodable(topic):
        raise BadRequest(InvalidTopicName.reason)
    if kind == "unsubscribe":
        return Unsubscribe(topic=topic, request_id=request_id)
    if kind == "subscribe":
        last_n = fields.get("last_n", 0)
        if not _is_integer(last_n) or last_n < 0:
            raise BadRequest("last_n must be an integer of at least 0")
        return Subscribe(topic=topic, last_n=last_n, request_id=request_id)
    message = _message(fields, text)
    return Publish(topic=topic, message=message, request_id=request_id)


def _message(fields: dict[str, Any], text: str) -> Message:
    message = fields.get("message")
    if message is None:
        raise BadRequest("message is required")
    if not isinstance(message, dict):
        raise BadRequest("message must be an object")
    if message.get("id") is None:
        raise BadRequest("message.id is required")
    message_id = _valid_message_id(message["id"], "message.id")
    payload = _payload(message, _member(text, "message"), "message.payload")
    return Message(id=message_id, payload=payload)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadRequest("body is not UTF-8") from None


def _object(text: str) -> dict[str, Any]:
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise BadRequest("message is nested too deeply") from None
    except ValueError as error:
        detail = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise BadRequest(f"message is not valid JSON: {detail}") from None
    if not isinstance(value, dict):
        raise BadRequest("message must be a JSON object")
    return value


def _member(text: str, key: str) -> str:
    """Return the source text of a member of the object that ``text`` is known to be."""
    source = ""
    position = _after_space(text, 0)
    while text[position] != "}":
        name, position = _decoder.raw_decode(text, _after_space(text, position + 1))
        start = _after_space(text, _after_space(text, position) + 1)
        _, end = _decoder.raw_decode(text, start)
        if name == key:  # of several the last one counts, as everywhere in JSON
            source = text[start:end]
        position = _after_space(text, end)
    return source


def _after_space(text: str, position: int) -> int:
    match = _skip_space(text, position)
    return match.end() if match else position


def _string(fields: dict[str, Any], field: str) -> str:
    value = fields.get(field)
    if value is None:
        raise BadRequest(f"{field} is required")
    if not isinstance(value, str):
        raise BadRequest(f"{field} must be a string")
    return value


def _valid_message_id(value: object, name: str) -> str:
    if not isinstance(value, str) or not _is_message_id(value):
        raise BadRequest(f"{name} must be a valid UUID")
    return value


def _payload(fields: dict[str, Any], text: str, name: str) -> Raw:
    if "payload" not in fields:
        raise BadRequest(f"{name} is required")
    return Raw(_member(text, "payload").encode())


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _request_id(message: str | bytes) -> str | UnsetType:
    try:
        # Of the rest nothing is built, however large it is.
        return _request_id_decoder.decode(message).request_id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return UNSET


def _valid_request_id(fields: dict[str, Any]) -> str | UnsetType:
    value = fields.get("request_id")
    if isinstance(value, str) and len(value) <= MAX_REQUEST_ID_LENGTH and _is_encodable(value):
        return value
    return UNSET


def _valid_topic(fields: dict[str, Any]) -> str | UnsetType:
    value = fields.get("topic")
    try:
        return validate_name(value) if isinstance(value, str) else UNSET
    except InvalidTopicName:
        return UNSET


def _is_encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


# --- Server to client ---------------------------------------------------------------------------


def timestamp() -> str:
    """Return the present time in UTC with milliseconds (RFC 3339 §5.6)."""
    return _timestamp(time.time_ns() // 1_000_000)


@lru_cache(maxsize=1)
def _timestamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:03d}Z"


def check_message_id(message_id: str) -> str:
    """Return a message's id, if it is one.

    Raises:
        ValueError: It is not a UUID in its canonical form.
    """
    if not _is_message_id(message_id):
        raise ValueError(f"message_id must be a UUID in its canonical form, not {message_id!r}")
    return message_id


def encode_payload(value: Any) -> Raw:
    """Encode a Python value as a payload.

    Raises:
        TypeError: It holds something that JSON has no form for.
    """
    return Raw(_encoder.encode(value))


def _frame(reply: Reply) -> Frame:
    return Frame(_encoder.encode(reply))


def encode_ack(topic: str, request_id: str | UnsetType = UNSET) -> Frame:
    """Encode the acknowledgement of a command."""
    return _frame(Ack(request_id=request_id, topic=topic, status="ok", ts=timestamp()))


def encode_event(topic: str, message: Message) -> Frame:
    """Encode an event, once for all its subscribers."""
    return _frame(Event(topic=topic, message=message, ts=timestamp()))


def encode_error(
    code: ErrorCode,
    message: str,
    *,
    request_id: str | UnsetType = UNSET,
    topic: str | UnsetType = UNSET,
) -> Frame:
    """Encode the refusal of a command."""
    detail = ErrorDetail(code=code, message=message)
    return _frame(Error(request_id=request_id, topic=topic, error=detail, ts=timestamp()))


def encode_refusal(command: AnyCommand, code: ErrorCode, message: str) -> Frame:
    """Encode the refusal of a well-formed command."""
    topic = UNSET if code is ErrorCode.BAD_REQUEST else getattr(command, "topic", UNSET)
    return encode_error(code, message, request_id=command.request_id, topic=topic)


def encode_loss(topic: str, dropped: int) -> Frame:
    """Encode the notice that a client was too slow for so many events of a topic."""
    message = f"{dropped} message{'s' if dropped > 1 else ''} dropped"
    detail = ErrorDetail(code=ErrorCode.SLOW_CONSUMER, message=message)
    return _frame(Error(topic=topic, error=detail, dropped=dropped, ts=timestamp()))


def encode_pong(request_id: str | UnsetType = UNSET) -> Frame:
    """Encode the answer to a ping."""
    return _frame(Pong(request_id=request_id, ts=timestamp()))


def encode_topic_deleted(topic: str) -> Frame:
    """Encode the notice that a topic is gone."""
    return _frame(Info(topic=topic, msg="topic_deleted", ts=timestamp()))
