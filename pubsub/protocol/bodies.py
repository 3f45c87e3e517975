"""Decodes the bodies of REST requests to typed structures."""

import math
import uuid

import msgspec
from msgspec import UNSET, Struct

from pubsub.core.options import MAX_HISTORY, Overflow
from pubsub.protocol.diagnosis import (
    Fields,
    boolean,
    is_integer,
    is_number,
    json_object,
    raw_payload,
    required_string,
    valid_message_id,
)
from pubsub.protocol.errors import BadRequest
from pubsub.protocol.messages import NewTopic, Publication

_publication_decoder = msgspec.json.Decoder(Publication)


def decode_new_topic(body: bytes) -> NewTopic:
    """Decode the body of ``POST /topics``. The name is validated by the broker.

    Raises:
        BadRequest: The body is not JSON, or a field is missing, invalid or unknown.
    """
    fields = json_object(body_text(body))
    refuse_unknown(fields, NewTopic)
    name = required_string(fields, "name")
    history = fields.get("history")
    if history is not None and (not is_integer(history) or not 0 <= history <= MAX_HISTORY):
        raise BadRequest(f"history must be an integer from 0 to {MAX_HISTORY}")
    seconds = fields.get("history_seconds")
    if seconds is not None and (not is_number(seconds) or not 0 < seconds < math.inf):
        raise BadRequest("history_seconds must be a number of seconds above 0")
    presence = fields.get("presence")
    if presence is not None and not isinstance(presence, bool):
        raise BadRequest("presence must be true or false")
    overflow = fields.get("overflow")
    if overflow is not None and overflow not in list(Overflow):
        raise BadRequest(f"overflow must be one of {', '.join(Overflow)}")
    return NewTopic(name, history, seconds, presence, overflow and Overflow(overflow))


def decode_publication(body: bytes) -> Publication:
    """Decode the body of ``POST /topics/{name}/messages``; generate an id if it has none.

    Raises:
        BadRequest: The body is not JSON, or a field is missing, invalid or unknown.
    """
    # Decoded to text first, because msgspec would accept a payload in bytes that are not UTF-8.
    text = body_text(body)
    try:
        publication = _publication_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        fields = json_object(text)
        refuse_unknown(fields, Publication)
        publication = publication_slowly(fields, text)
    if publication.id is UNSET:
        publication.id = str(uuid.uuid4())
    return publication


def publication_slowly(fields: Fields, text: str) -> Publication:
    """Return the publication in ``fields``, which were parsed from ``text``.

    Raises:
        BadRequest: A field of a `Publication` is missing or invalid.
    """
    publication = Publication(payload=raw_payload(fields, text, "payload"))
    if "id" in fields:
        publication.id = valid_message_id(fields["id"], "id")
    publication.once = boolean(fields, "once")
    return publication


def refuse_unknown(fields: Fields, structure: type[Struct]) -> None:
    """Check that all fields are those of a structure.

    Raises:
        BadRequest: There is another one; the message names it, and the known ones.
    """
    for field in fields:
        if field not in structure.__struct_fields__:
            raise unknown_field(field, structure)


def unknown_field(field: str, structure: type[Struct]) -> BadRequest:
    """Return the refusal of a field that a structure does not have."""
    known = ", ".join(structure.__struct_fields__)
    return BadRequest(f"unknown field {field[:40]!a}; known fields are {known}")


def body_text(body: bytes) -> str:
    """Return a body as text.

    Raises:
        BadRequest: It is not UTF-8.
    """
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise BadRequest("body is not UTF-8") from None
