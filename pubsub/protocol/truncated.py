"""Finds the request id of a message of which only the beginning and the end were kept."""

import json
import re

from msgspec import UNSET, UnsetType

from pubsub.protocol.messages import MAX_REQUEST_ID_LENGTH

MAX_MEMBERS = 200
"""Members at the beginning of a message that are searched: about 0.6 ms.

A message can begin with thousands, and nothing else runs until the search ends."""

_decode_from = json.JSONDecoder().raw_decode
_next_member = re.compile(r"\s*[{,]\s*").match
_colon = re.compile(r"\s*:\s*").match

_STRING = r'"(?:[^"\\]|\\.){0,800}"'
_SCALAR = rf"(?:{_STRING}|-?[0-9][0-9.eE+-]*|true|false|null)"
_at_the_end = re.compile(
    rf'[{{,]\s*"request_id"\s*:\s*({_STRING})\s*(?:,\s*{_STRING}\s*:\s*{_SCALAR}\s*)*\}}\s*\Z'
).search
"""Matches ``request_id`` among the last members of the outermost object, up to its final brace."""


def request_id_of_parts(head: bytes, tail: bytes) -> str | UnsetType:
    """Return the request id if it is found in one of the parts, as in nearly all messages.

    The last members are searched first, then the first `MAX_MEMBERS`, up to the one that was cut
    off.
    """
    found = _at_the_end((head[-1:] + tail).decode(errors="replace"))
    value = json.loads(found[1]) if found else _first_member(head.decode(errors="ignore"))
    if isinstance(value, str) and len(value) <= MAX_REQUEST_ID_LENGTH:
        try:
            value.encode()
        except UnicodeEncodeError:  # a lone surrogate
            return UNSET
        return value
    return UNSET


def _first_member(text: str) -> object:
    value: object = None
    position = 0
    try:
        for _ in range(MAX_MEMBERS):
            if not (start := _next_member(text, position)):
                break
            name, position = _decode_from(text, start.end())
            if not (colon := _colon(text, position)):
                break
            member, position = _decode_from(text, colon.end())
            if name == "request_id":
                value = member
    except (ValueError, RecursionError):
        pass  # the text was cut off here
    return value
