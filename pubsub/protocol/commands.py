"""Commands in: the bytes of a client's message to a typed structure.

msgspec decodes a command straight into its structure. Only when that fails is the text parsed
again, slowly, to name the field at fault (`pubsub.protocol.diagnosis`). A payload is carried as
the slice of text that the publisher wrote: its syntax is checked, but it is never decoded and
encoded again.
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
        MessageTooLarge: It has more than ``max_bytes`` bytes.
        BadRequest: It is not a command; the message says why, in the words of the contract.
    """
    if len(text) > max_bytes or not (text.isascii() or len(text.encode()) <= max_bytes):
        raise MessageTooLarge(f"message exceeds {max_bytes} bytes", request_id=_request_id(text))
    try:
        command: AnyCommand = _command_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return decode_command_slowly(text)
    return command


def refuse_rate(message: str | bytes, tail: bytes | None = None) -> Never:
    """Refuse a frame, whatever it contains, because the client sent too many before it.

    With a ``tail`` the message is the beginning of one that was too large to be kept.

    Raises:
        RateLimited: Always.
    """
    request_id = _request_id(message, tail)
    raise RateLimited("too many messages; send more slowly", request_id=request_id)


def refuse_too_large(head: bytes, tail: bytes, *, max_bytes: int) -> Never:
    """Refuse a message of which only the beginning and the end were kept.

    Raises:
        MessageTooLarge: Always, with the request id if it is in what was kept.
    """
    request_id = _request_id(head, tail)
    raise MessageTooLarge(f"message exceeds {max_bytes} bytes", request_id=request_id)


def refuse_binary(data: bytes, tail: bytes | None = None) -> Never:
    """Refuse a binary frame, with the request id of the JSON that it may contain.

    With a ``tail`` the data are the beginning of a message that was too large to be kept.

    Raises:
        BadRequest: Always.
    """
    raise BadRequest(
        "binary frames are not accepted; send JSON in text frames",
        request_id=_request_id(data, tail),
    )


def _request_id(message: str | bytes, tail: bytes | None = None) -> str | UnsetType:
    if tail is not None and isinstance(message, bytes):
        return request_id_of_parts(message, tail)
    try:
        # Skips everything but this one field, however large the message is.
        return _request_id_decoder.decode(message).request_id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return UNSET
