"""Bodies in: REST requests; the live tests have the wording of every refusal."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from pubsub.core.options import GivenOptions, Overflow
from pubsub.protocol import bodies
from pubsub.protocol.errors import BadRequest
from tests.protocol.support import JSON, SPACING, UUID


@given(payload=JSON, separators=SPACING, ascii_only=st.booleans())
def test_payload_is_the_text_that_was_written(
    payload: Any, separators: tuple[str, str], ascii_only: bool
) -> None:
    """A payload keeps its exact text, whether the fast or the slow decoder reads it."""
    text = json.dumps(payload, separators=separators, ensure_ascii=ascii_only)
    if not ascii_only and re.search("[\ud800-\udfff]", text):
        return  # a body is UTF-8, which cannot represent half a pair
    publication = bodies.decode_publication(f'{{"payload":{text},"id":"{UUID}"}}'.encode())
    assert bytes(publication.payload).decode() == text


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_accepted_or_refused(body: bytes) -> None:
    """No body raises any exception but BadRequest."""
    for function in (bodies.decode_new_topic, bodies.decode_publication):
        with suppress(BadRequest):
            function(body)


def test_half_a_surrogate_pair_in_a_payload() -> None:
    """Half a surrogate pair is valid JSON, so a payload may contain one."""
    publication = bodies.decode_publication(b'{"payload":"\\ud800"}')
    assert bytes(publication.payload) == b'"\\ud800"'
    assert publication.id is not UNSET


def test_new_topic() -> None:
    """A topic may have a history of its own or follow the setting."""
    assert bodies.decode_new_topic(b'{"name":"t"}').history is None
    assert bodies.decode_new_topic(b'{"name":"t","history":0}').history == 0


def test_options_of_a_new_topic() -> None:
    """A topic may be created with any of its options."""
    body = b'{"name":"t","history":9,"history_seconds":0.5,"presence":true,"overflow":"catch_up"}'
    assert bodies.decode_new_topic(body).options == GivenOptions(
        history=9, history_seconds=0.5, presence=True, overflow=Overflow.CATCH_UP
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ('"history":1.5', "history must be an integer from 0 to 1000"),
        ('"history_seconds":0', "history_seconds must be a number of seconds above 0"),
        ('"history_seconds":"1h"', "history_seconds must be a number of seconds above 0"),
        ('"history_seconds":1e999', "history_seconds must be a number of seconds above 0"),
        ('"presence":1', "presence must be true or false"),
        ('"overflow":"explode"', "overflow must be one of drop_newest, drop_oldest, .*"),
        ('"overflow":[]', "overflow must be one of .*"),
        ('"auto_create":true', "unknown field 'auto_create'; .*"),
    ],
    ids=range(8),
)
def test_bad_options(option: str, message: str) -> None:
    """A bad option is named."""
    with pytest.raises(BadRequest, match=message):
        bodies.decode_new_topic(b'{"name":"t",%b}' % option.encode())


def test_publication_once() -> None:
    """A publication may be a repetition, also when it has to be decoded slowly."""
    for more in ("", ',"payload":"\\ud800"'):
        body = f'{{"payload":1,"once":true{more}}}'.encode()
        assert bodies.decode_publication(body).once


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\xff", "body is not UTF-8"),
        (b'{"payload":"\xff"}', "body is not UTF-8"),
        (b"{}", "payload is required"),
        (b'{"payload":1,"id":null}', "id must be a valid UUID"),
    ],
)
def test_bad_publication(body: bytes, message: str) -> None:
    """A bad publication is refused with a message that names the fault."""
    with pytest.raises(BadRequest, match=message):
        bodies.decode_publication(body)


@pytest.mark.parametrize("body", [b"{}", b'{"name":1}', b'{"name":"t","history":1001}'])
def test_bad_topic(body: bytes) -> None:
    """A bad topic is refused with a message that names the field."""
    with pytest.raises(BadRequest, match=r"name|history"):
        bodies.decode_new_topic(body)


@pytest.mark.parametrize(
    ("decode", "body", "known"),
    [
        (bodies.decode_new_topic, b'{"name":"t","histroy":5}', "name, history"),
        (bodies.decode_publication, b'{"payload":1,"histroy":5}', "payload, id"),
    ],
)
def test_unknown_field(decode: Callable[[bytes], object], body: bytes, known: str) -> None:
    """A field that a body should not have is refused by name."""
    message = f"unknown field 'histroy'; known fields are {known}"
    with pytest.raises(BadRequest, match=message):
        decode(body)


def test_publication_without_id() -> None:
    """A publication without an id gets a new one each time."""
    ids = {bodies.decode_publication(b'{"payload":1}').id for _ in range(2)}
    assert len(ids) == 2
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", str(one)) for one in ids)
