"""The request id of a message that is too large to be kept as a whole."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from pubsub.protocol.truncated import MAX_MEMBERS, request_id_of_parts

FILLER = "x" * 5000


def parts(text: str) -> tuple[bytes, bytes]:
    """Return the beginning and the end of a text, with a gap between them."""
    data = text.encode()
    return data[:1000], data[-1024:]


@given(request_id=st.text(max_size=128))
def test_request_id_at_either_end(request_id: str) -> None:
    """Clients put it first or last."""
    first = json.dumps({"request_id": request_id, "filler": FILLER})
    last = json.dumps({"filler": [FILLER, {"a": 1}], "request_id": request_id})
    assert request_id_of_parts(*parts(first)) == request_id
    assert request_id_of_parts(*parts(last)) == request_id


@pytest.mark.parametrize(
    "end",
    [
        '"request_id": "r" , "topic":"t","n":-1.5e3, "b" : true}',
        '"request_id":"r"}\n ',
    ],
)
def test_short_members_may_follow(end: str) -> None:
    """The order of members is the client's choice."""
    assert request_id_of_parts(*parts('{"filler":"' + FILLER + '",' + end)) == "r"


@pytest.mark.parametrize(
    "text",
    [
        '{"filler":"' + FILLER + '","message":{"request_id":"of something else"}}',
        '{"message":{"request_id":"of something else"},"filler":"' + FILLER + '"}',
        '{"filler":"' + FILLER + '","request_id":7}',
        '{"request_id":7,"filler":"' + FILLER + '"}',
        '{"filler":"' + FILLER + '","request_id":"' + "r" * 129 + '"}',
        '{"filler":"' + FILLER + '","request_id":"\\ud800"}',
        '{"request_id" "no colon","filler":"' + FILLER + '"}',
        "[" * 5000,
        FILLER,
    ],
)
def test_no_request_id(text: str) -> None:
    """There is none, it is not the message's own, or it is not valid."""
    assert request_id_of_parts(*parts(text)) is UNSET


def test_the_gap_may_begin_in_the_middle_of_a_character() -> None:
    """Bytes are kept, not characters."""
    head = '{"request_id":"r","filler":"é'.encode()[:-1]
    assert request_id_of_parts(head, b"\xa9" + b"x" * 1023) == "r"


def test_search_is_bounded() -> None:
    """Of a message with thousands of members, only so many are searched as can be searched fast."""
    begin = b"{" + b'"a":1,' * (MAX_MEMBERS - 1)
    assert request_id_of_parts(begin + b'"request_id":"r","filler":"', b"]}") == "r"
    assert request_id_of_parts(begin + b'"a":1,"request_id":"r","filler":"', b"]}") is UNSET
