"""Decodes the messages of a client to typed structures.

msgspec decodes a command straight into its structure. Only if that fails is the text parsed again,
slowly, to name the field at fault (`pubsub.protocol.diagnosis`). A payload stays the slice of text
that the publisher wrote: its syntax is checked, but it is never decoded and encoded again.
"""

from typing import Never

import msgspec
from msgspec import UNSET, UnsetType

from pubsub.protocol.diagnosis import decode_command_slowly
from pubsub.protocol.errors import BadRequest, MessageTooLarge, RateLimited
from pubsub.protocol.messages import AnyCommand, Identified
from pubsub.protocol.truncated import request_id_of_parts

_command_decoder = msgspec.json.Decoder(AnyCommand)
_request_id_decoder = msgspec.json.Decoder(Identified)


def decode_command(text: str, *, max_bytes: int) -> AnyCommand:
    """Decode one text frame.

    Raises:
        MessageTooLarge: The frame has more than ``max_bytes`` bytes.
        BadRequest: The frame is not a valid command; the message says why.
    """
    if len(text) > max_bytes or not (text.isascii() or len(text.encode()) <= max_bytes):
        raise MessageTooLarge(f"message exceeds {max_bytes} bytes", request_id=_request_id(text))
    try:
        command: AnyCommand = _command_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return decode_command_slowly(text)
    return command


def refuse_rate(message: str | bytes, tail: bytes | None = None) -> Never:
    """Reject a message, whatever it contains, because the client has sent too many.

    If there is a ``tail``, ``message`` is only the beginning of one that was too large to be kept.

    Raises:
        RateLimited: Always, with the request id if one is found.
    """
    request_id = _request_id(message, tail)
    raise RateLimited("too many messages; send more slowly", request_id=request_id)


def refuse_too_large(head: bytes, tail: bytes, *, max_bytes: int) -> Never:
    """Reject a message of which only the beginning and the end were kept.

    Raises:
        MessageTooLarge: Always, with the request id if one is found.
    """
    request_id = _request_id(head, tail)
    raise MessageTooLarge(f"message exceeds {max_bytes} bytes", request_id=request_id)


def refuse_binary(data: bytes, tail: bytes | None = None) -> Never:
    """Reject a binary message.

    If there is a ``tail``, ``data`` is only the beginning of one that was too large to be kept.

    Raises:
        BadRequest: Always, with the request id if the message contains JSON that has one.
    """
    raise BadRequest(
        "binary frames are not accepted; send JSON in text frames",
        request_id=_request_id(data, tail),
    )


def _request_id(message: str | bytes, tail: bytes | None = None) -> str | UnsetType:
    if tail is not None and isinstance(message, bytes):
        return request_id_of_parts(message, tail)
    try:
        # This decodes the one field and skips everything else.
        return _request_id_decoder.decode(message).request_id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return UNSET
