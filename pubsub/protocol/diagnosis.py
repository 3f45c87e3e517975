"""Finds out what is wrong with a message that the fast decoder does not accept.

This is slow on purpose: Python's own JSON parser builds the whole message, so that every error can
name the field at fault. The message may still turn out to be a valid command, because msgspec
rejects a few things that RFC 8259 allows (lone surrogates in escapes, integers of any length).
"""

import json
import re
from collections.abc import Callable
from typing import Any, Never

from msgspec import UNSET, Raw, UnsetType

from pubsub.core.errors import InvalidTopicName
from pubsub.core.names import validate_name
from pubsub.core.options import MAX_HISTORY
from pubsub.protocol.errors import BadRequest
from pubsub.protocol.messages import (
    COMMAND_TYPES,
    DEFAULT_HISTORY,
    MAX_REQUEST_ID_LENGTH,
    AnyCommand,
    AskHistory,
    AskPresence,
    Auth,
    Message,
    Ping,
    Publish,
    Recover,
    Since,
    Subscribe,
    Unsubscribe,
    is_message_id,
)

Fields = dict[str, Any]


def decode_command_slowly(text: str) -> AnyCommand:
    """Decode a command, or find out what is wrong with it.

    Raises:
        BadRequest: The text is not a valid command. The message names the field at fault, and the
            error carries the request id and the topic if they are valid.
    """
    fields = json_object(text)
    request_id = _valid_request_id(fields)
    try:
        return _command(fields, text)
    except BadRequest as error:
        error.request_id = request_id
        error.topic = _valid_topic(fields)
        raise


# --- Commands, by type --------------------------------------------------------------------------


def _command(fields: Fields, text: str) -> AnyCommand:
    kind = fields.get("type")
    if kind not in COMMAND_TYPES:
        given = "type is required" if kind is None else "unknown type"
        raise BadRequest(f"{given}; known types are {', '.join(COMMAND_TYPES)}")
    request_id = _valid_request_id(fields)
    if "request_id" in fields and request_id is UNSET:
        raise BadRequest(
            f"request_id must be a string of at most {MAX_REQUEST_ID_LENGTH} characters"
        )
    command = _DECODERS[kind](fields, text)
    command.request_id = request_id
    return command


def _subscribe(fields: Fields, _text: str) -> AnyCommand:
    topic = _topic(fields)
    last_n = fields.get("last_n", 0)
    if not is_integer(last_n) or last_n < 0:
        raise BadRequest("last_n must be an integer of at least 0")
    recover = _recover(fields["recover"]) if "recover" in fields else UNSET
    presence = boolean(fields, "presence")
    return Subscribe(topic=topic, last_n=last_n, recover=recover, presence=presence)


def _recover(value: Any) -> Recover:
    since = _since(value, "recover")
    client_id = value.get("client_id", UNSET)
    if client_id is not UNSET and not (isinstance(client_id, str) and _is_encodable(client_id)):
        raise BadRequest("recover.client_id must be a string")
    return Recover(epoch=since.epoch, offset=since.offset, client_id=client_id)


def _since(value: Any, name: str) -> Since:
    """Return the position in the field ``name``."""
    if not isinstance(value, dict):
        raise BadRequest(f"{name} must be an object")
    for field in ("epoch", "offset"):
        if field not in value:
            raise BadRequest(f"{name}.{field} is required")
    epoch, offset = value["epoch"], value["offset"]
    if not isinstance(epoch, str):
        raise BadRequest(f"{name}.epoch must be a string")
    if not is_integer(offset) or offset < 0:
        raise BadRequest(f"{name}.offset must be an integer of at least 0")
    return Since(epoch=epoch, offset=offset)


def _unsubscribe(fields: Fields, _text: str) -> AnyCommand:
    return Unsubscribe(topic=_topic(fields))


def _publish(fields: Fields, text: str) -> AnyCommand:
    topic = _topic(fields)
    message = fields.get("message")
    if message is None:
        raise BadRequest("message is required")
    if not isinstance(message, dict):
        raise BadRequest("message must be an object")
    if message.get("id") is None:
        raise BadRequest("message.id is required")
    message_id = valid_message_id(message["id"], "message.id")
    payload = raw_payload(message, _member(text, "message"), "message.payload")
    once = boolean(fields, "once")
    return Publish(topic=topic, message=Message(id=message_id, payload=payload), once=once)


def _ping(fields: Fields, _text: str) -> AnyCommand:
    return Ping(process=boolean(fields, "process"))


def _auth(fields: Fields, _text: str) -> AnyCommand:
    return Auth(token=required_string(fields, "token"))


def _history(fields: Fields, _text: str) -> AnyCommand:
    topic = _topic(fields)
    since = _since(fields["since"], "since") if "since" in fields else UNSET
    limit = fields.get("limit", DEFAULT_HISTORY)
    if not is_integer(limit) or not 1 <= limit <= MAX_HISTORY:
        raise BadRequest(f"limit must be an integer from 1 to {MAX_HISTORY}")
    return AskHistory(topic=topic, since=since, limit=limit)


def _presence(fields: Fields, _text: str) -> AnyCommand:
    return AskPresence(topic=_topic(fields))


_DECODERS: dict[str, Callable[[Fields, str], AnyCommand]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "publish": _publish,
    "ping": _ping,
    "auth": _auth,
    "history": _history,
    "presence": _presence,
}
"""A decoder for each command type. It gets the fields and the text that they were parsed from."""


def _topic(fields: Fields) -> str:
    topic = required_string(fields, "topic")
    if not _is_encodable(topic):
        raise BadRequest(InvalidTopicName.reason)
    return topic


def _valid_request_id(fields: Fields) -> str | UnsetType:
    value = fields.get("request_id")
    if isinstance(value, str) and len(value) <= MAX_REQUEST_ID_LENGTH and _is_encodable(value):
        return value
    return UNSET


def _valid_topic(fields: Fields) -> str | UnsetType:
    value = fields.get("topic")
    try:
        return validate_name(value) if isinstance(value, str) else UNSET
    except InvalidTopicName:
        return UNSET


def _is_encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


# --- Fields -------------------------------------------------------------------------------------


def required_string(fields: Fields, field: str) -> str:
    """Return the string in a field.

    Raises:
        BadRequest: The field is missing, ``null`` or not a string.
    """
    value = fields.get(field)
    if value is None:
        raise BadRequest(f"{field} is required")
    if not isinstance(value, str):
        raise BadRequest(f"{field} must be a string")
    return value


def valid_message_id(value: object, name: str) -> str:
    """Return the id of a message.

    Raises:
        BadRequest: The value is not a UUID in canonical form.
    """
    if not isinstance(value, str) or not is_message_id(value):
        raise BadRequest(f"{name} must be a valid UUID")
    return value


def raw_payload(fields: Fields, text: str, name: str) -> Raw:
    """Return the payload exactly as it is written in ``text``, from which ``fields`` were parsed.

    Raises:
        BadRequest: There is no payload.
    """
    if "payload" not in fields:
        raise BadRequest(f"{name} is required")
    return Raw(_member(text, "payload").encode())


def is_integer(value: object) -> bool:
    """Return whether the value is an integer in JSON, where ``true`` is not one."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Return whether the value is a number in JSON."""
    return is_integer(value) or isinstance(value, float)


def boolean(fields: Fields, field: str) -> bool:
    """Return the value of a field that is ``false`` when it is left out.

    Raises:
        BadRequest: It is neither ``true`` nor ``false``.
    """
    value = fields.get(field, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{field} must be true or false")
    return value


# --- JSON ---------------------------------------------------------------------------------------


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not a JSON value")


def _integer(digits: str) -> int:
    # No field needs 40 digits, and int() rejects strings of several thousand.
    return int(digits[:40])


_decoder = json.JSONDecoder(parse_constant=_no_constant, parse_int=_integer)
_skip_space = re.compile(r"[ \t\n\r]*").match


def json_object(text: str) -> Fields:
    """Parse a JSON object.

    Raises:
        BadRequest: The text is not JSON, is nested too deeply, or is not an object.
    """
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
    """Return the source text of a member; ``text`` must be a valid JSON object that has it."""
    source = ""
    position = _after_space(text, 0)
    while text[position] != "}":
        name, position = _decoder.raw_decode(text, _after_space(text, position + 1))
        start = _after_space(text, _after_space(text, position) + 1)
        _, end = _decoder.raw_decode(text, start)
        if name == key:  # the last duplicate counts, as in json and msgspec
            source = text[start:end]
        position = _after_space(text, end)
    return source


def _after_space(text: str, position: int) -> int:
    match = _skip_space(text, position)
    return match.end() if match else position
