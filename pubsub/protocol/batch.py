"""Decodes the body of ``POST /messages``: many publications in one request.

The body is split into its items first, and each item is decoded by itself, so an invalid item is an
error of its own. An item that msgspec does not accept is parsed again, slowly, to name the field at
fault (`pubsub.protocol.diagnosis`).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pubsub.core.errors import TOPIC_NAME_RULE
from pubsub.protocol.bodies import (
    body_text,
    publication_slowly,
    refuse_unknown,
    unknown_field,
)
from pubsub.protocol.diagnosis import json_object, required_string
from pubsub.protocol.errors import BadRequest, MessageTooLarge
from pubsub.protocol.messages import Publication

MAX_BATCH_MESSAGES = 1_000
"""Messages that one request may publish."""

MAX_BATCH_BYTES = 1024 * 1024
"""Bytes that the body of such a request may have."""


class BatchPublication(Publication, kw_only=True):
    """A message and its topic; the server generates a missing id."""

    # A plain string: the broker checks the names of topics that do not exist.
    topic: Annotated[str, Meta(description=TOPIC_NAME_RULE.removeprefix("must be "))]


class Batch(Struct, forbid_unknown_fields=True):
    """The body of ``POST /messages``."""

    messages: Raw
    """An array, each item of which should be a `BatchPublication`."""


_MANY_COMMAS = 20 * MAX_BATCH_MESSAGES
"""Commas of an array that may have so many items that splitting it takes more than a few
milliseconds. Most of them are inside the items of a batch, so they say no more than that."""

_AtMost = msgspec.defstruct(
    "_AtMost",
    [(f"item{number}", Raw, None) for number in range(MAX_BATCH_MESSAGES)],
    array_like=True,
    forbid_unknown_fields=True,
)
"""An array whose decoder stops at the first item beyond `MAX_BATCH_MESSAGES`."""

_TOO_LONG = "Expected `array` of at most length"
_UNKNOWN_FIELD = "Object contains unknown field `"
_MISSING_FIELD = "Object missing required field"
"""How msgspec's messages about these faults begin."""

_batch_decoder = msgspec.json.Decoder(Batch)
_array_decoder = msgspec.json.Decoder(list[Raw])
_at_most_decoder = msgspec.json.Decoder(_AtMost)
_publication_decoder = msgspec.json.Decoder(BatchPublication)

_replace_surrogates = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}").sub
_skip_space = re.compile(rb"[ \t\n\r]*").match


def split_batch(body: bytes) -> list[Raw]:
    """Return the items of a batch as they are written, without looking into them.

    This takes a few milliseconds at most, whatever the body contains, and up to 25 ms if it
    contains lone surrogates.

    Raises:
        BadRequest: The body is not JSON, or not an object with the array ``messages`` alone.
        MessageTooLarge: There are more than `MAX_BATCH_MESSAGES` items.
    """
    body_text(body)  # msgspec would accept a payload that is not UTF-8
    try:
        return _split_array(_batch_decoder.decode(body).messages)
    except (msgspec.MsgspecError, RecursionError):
        return _split_again(body)


def _split_array(array: Raw) -> list[Raw]:
    too_large = MessageTooLarge(f"a batch has at most {MAX_BATCH_MESSAGES} messages")
    try:
        if bytes(array).count(b",") > _MANY_COMMAS:
            _at_most_decoder.decode(array)
        items = _array_decoder.decode(array)
    except msgspec.ValidationError as error:
        if str(error).startswith(_TOO_LONG):
            raise too_large from None
        raise BadRequest("messages must be an array") from None
    if len(items) > MAX_BATCH_MESSAGES:
        raise too_large
    return items


def _split_again(body: bytes) -> list[Raw]:
    """Split what msgspec does not accept, or say what is wrong with it.

    The only valid JSON that it does not accept has lone surrogates in escapes. With others in their
    place, all items of the copy stand where those of the body do.
    """
    copy = _replace_surrogates(rb"\\u0000", body)
    try:
        array = _batch_decoder.decode(copy).messages
    except msgspec.ValidationError as error:
        raise _wrong_object(str(error)) from None
    except msgspec.DecodeError as error:
        detail = str(error).removeprefix("JSON is malformed: ")
        raise BadRequest(f"message is not valid JSON: {detail}") from None
    except RecursionError:
        raise BadRequest("message is nested too deeply") from None
    lengths = [memoryview(item).nbytes for item in _split_array(array)]
    return list(_items_at(body, copy.rindex(bytes(array)) + 1, lengths))


def _wrong_object(fault: str) -> BadRequest:
    """Return what to say instead of a message of msgspec's about the object around the items."""
    if fault.startswith(_UNKNOWN_FIELD):
        return unknown_field(fault.removeprefix(_UNKNOWN_FIELD).removesuffix("`"), Batch)
    if fault.startswith(_MISSING_FIELD):
        return BadRequest("messages is required")
    return BadRequest("message must be a JSON object")


def _items_at(body: bytes, position: int, lengths: Iterable[int]) -> Iterator[Raw]:
    """Yield items of these lengths, between which stand commas, from a position."""
    for length in lengths:
        start = _after_space(body, position)
        yield Raw(body[start : start + length])
        position = _after_space(body, start + length) + 1


def _after_space(body: bytes, position: int) -> int:
    match = _skip_space(body, position)
    return match.end() if match else position


def decode_item(item: Raw) -> BatchPublication | None:
    """Decode one item of a batch quickly; return ``None`` if that takes `diagnose_item`.

    The ``id`` of one without an id stays ``UNSET``.
    """
    try:
        return _publication_decoder.decode(item)
    except (msgspec.MsgspecError, RecursionError):
        return None


def diagnose_item(item: Raw) -> BatchPublication:
    """Decode one item of a batch slowly, or find out what is wrong with it.

    Raises:
        BadRequest: It is not an object, or a field is missing, invalid or unknown.
    """
    text = bytes(item).decode()
    fields = json_object(text)
    refuse_unknown(fields, BatchPublication)
    topic = required_string(fields, "topic")
    publication = publication_slowly(fields, text)
    return BatchPublication(topic=topic, **msgspec.structs.asdict(publication))
