"""The request id of a message over the limit, of which only the beginning and the end were kept."""

import json
import re

from msgspec import UNSET, UnsetType

from pubsub.protocol.messages import MAX_REQUEST_ID_LENGTH

_decode_from = json.JSONDecoder().raw_decode
_next_member = re.compile(r"\s*[{,]\s*").match
_colon = re.compile(r"\s*:\s*").match

_STRING = r'"(?:[^"\\]|\\.){0,800}"'
_SCALAR = rf"(?:{_STRING}|-?[0-9][0-9.eE+-]*|true|false|null)"
_at_the_end = re.compile(
    rf'[{{,]\s*"request_id"\s*:\s*({_STRING})\s*(?:,\s*{_STRING}\s*:\s*{_SCALAR}\s*)*\}}\s*\Z'
).search
"""The member ``request_id`` of the outermost object: only that object's brace is the last one."""


def request_id_of_parts(head: bytes, tail: bytes) -> str | UnsetType:
    """Return the request id if it is in one of the parts, as it is in nearly all messages.

    It is looked for among the last members and then among the first ones, up to a member that
    was cut.
    """
    found = _at_the_end((head[-1:] + tail).decode(errors="replace"))
    value = json.loads(found[1]) if found else _first_member(head.decode(errors="ignore"))
    if isinstance(value, str) and len(value) <= MAX_REQUEST_ID_LENGTH:
        try:
            value.encode()
        except UnicodeEncodeError:  # half a surrogate pair
            return UNSET
        return value
    return UNSET


def _first_member(text: str) -> object:
    value: object = None
    position = 0
    try:
        while start := _next_member(text, position):
            name, position = _decode_from(text, start.end())
            if not (colon := _colon(text, position)):
                break
            member, position = _decode_from(text, colon.end())
            if name == "request_id":
                value = member
    except (ValueError, RecursionError):
        pass  # here the text was cut
    return value
