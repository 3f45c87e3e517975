"""Decodes the body of ``POST /messages``: many publications in one request.

The body is split into its items first, and each item is decoded by itself, so an invalid item is an
error of its own. Only what msgspec does not accept is parsed again, slowly, to name the field at
fault (`pubsub.protocol.diagnosis`).
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from pubsub.core.errors import TOPIC_NAME_RULE
from pubsub.protocol.bodies import body_text, publication_slowly, refuse_unknown
from pubsub.protocol.diagnosis import array_items, json_object, required_string
from pubsub.protocol.errors import BadRequest, MessageTooLarge
from pubsub.protocol.messages import Publication

MAX_BATCH_MESSAGES = 1_000
"""Messages that one request may publish."""

MAX_BATCH_BYTES = 1024 * 1024
"""Bytes that the body of such a request may have."""


class BatchPublication(Publication, kw_only=True):
    """One message of a batch; the server generates a missing id."""

    # A plain string: the broker checks the names of topics that do not exist.
    topic: Annotated[str, Meta(description=TOPIC_NAME_RULE.removeprefix("must be "))]


class Batch(Struct, forbid_unknown_fields=True):
    """The body of ``POST /messages``."""

    messages: Annotated[list[BatchPublication], Meta(max_length=MAX_BATCH_MESSAGES)]


class _Items(Struct, forbid_unknown_fields=True):
    messages: list[Raw]


_items_decoder = msgspec.json.Decoder(_Items)
_publication_decoder = msgspec.json.Decoder(BatchPublication)


def split_batch(body: bytes) -> list[Raw]:
    """Return the items of a batch as they are written; `decode_item` decodes each.

    Raises:
        BadRequest: The body is not JSON, or not an object with the array ``messages`` alone.
        MessageTooLarge: There are more than `MAX_BATCH_MESSAGES` items.
    """
    # Decoded to text as a check only: msgspec would accept a payload that is not UTF-8.
    text = body_text(body)
    try:
        items = _items_decoder.decode(body).messages
    except (msgspec.MsgspecError, RecursionError):
        items = _split_slowly(text)
    if len(items) > MAX_BATCH_MESSAGES:
        raise MessageTooLarge(f"a batch has at most {MAX_BATCH_MESSAGES} messages")
    return items


def _split_slowly(text: str) -> list[Raw]:
    fields = json_object(text)
    refuse_unknown(fields, Batch)
    messages = fields.get("messages")
    if messages is None:
        raise BadRequest("messages is required")
    if not isinstance(messages, list):
        raise BadRequest("messages must be an array")
    return [Raw(item.encode()) for item in array_items(text, "messages")]


def decode_item(item: Raw, *, max_bytes: int) -> BatchPublication:
    """Decode one item of a batch; its ``id`` stays ``UNSET`` if it has none.

    Raises:
        MessageTooLarge: The item has more than ``max_bytes`` bytes.
        BadRequest: It is not an object, or a field is missing, invalid or unknown.
    """
    if memoryview(item).nbytes > max_bytes:
        raise MessageTooLarge(f"message exceeds {max_bytes} bytes")
    try:
        return _publication_decoder.decode(item)
    except (msgspec.MsgspecError, RecursionError):
        text = bytes(item).decode()
        fields = json_object(text)
        refuse_unknown(fields, BatchPublication)
        topic = required_string(fields, "topic")
        publication = publication_slowly(fields, text)
        return BatchPublication(topic=topic, **msgspec.structs.asdict(publication))
