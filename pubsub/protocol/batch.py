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
from pubsub.protocol.bodies import body_text, publication_slowly, refuse_unknown
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

    messages: list[Raw]
    """Each item should be a `BatchPublication`."""


_batch_decoder = msgspec.json.Decoder(Batch)
_members_decoder = msgspec.json.Decoder(dict[str, Raw])
_array_decoder = msgspec.json.Decoder(list[Raw])
_publication_decoder = msgspec.json.Decoder(BatchPublication)

_replace_surrogates = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}").sub
_skip_space = re.compile(rb"[ \t\n\r]*").match


def split_batch(body: bytes) -> list[Raw]:
    """Return the items of a batch as they are written, without looking into them.

    This takes a few milliseconds at most, whatever the body contains.

    Raises:
        BadRequest: The body is not JSON, or not an object with the array ``messages`` alone.
        MessageTooLarge: There are more than `MAX_BATCH_MESSAGES` items.
    """
    body_text(body)  # msgspec would accept a payload that is not UTF-8
    try:
        items = _batch_decoder.decode(body).messages
    except (msgspec.MsgspecError, RecursionError):
        items = _split_again(body)
    if len(items) > MAX_BATCH_MESSAGES:
        raise MessageTooLarge(f"a batch has at most {MAX_BATCH_MESSAGES} messages")
    return items


def _split_again(body: bytes) -> list[Raw]:
    """Split what msgspec does not accept, or say what is wrong with it.

    The only valid JSON that it does not accept has lone surrogates in escapes. With others in their
    place, all items of the copy stand where those of the body do.
    """
    copy = _replace_surrogates(rb"\\u0000", body)
    try:
        members = _members_decoder.decode(copy)
    except msgspec.ValidationError:
        raise BadRequest("message must be a JSON object") from None
    except msgspec.DecodeError as error:
        detail = str(error).removeprefix("JSON is malformed: ")
        raise BadRequest(f"message is not valid JSON: {detail}") from None
    except RecursionError:
        raise BadRequest("message is nested too deeply") from None
    refuse_unknown(members, Batch)
    if "messages" not in members:
        raise BadRequest("messages is required")
    array = members["messages"]
    try:
        lengths = [memoryview(item).nbytes for item in _array_decoder.decode(array)]
    except msgspec.ValidationError:
        raise BadRequest("messages must be an array") from None
    return list(_items_at(body, copy.rindex(bytes(array)) + 1, lengths))


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
