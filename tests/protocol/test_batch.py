"""Batches in: the body is split, and each item is decoded by itself."""

import json
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from pubsub.protocol import batch
from pubsub.protocol.errors import BadRequest, MessageTooLarge
from tests.protocol.support import JSON, SPACING, UUID


@given(items=st.lists(JSON, max_size=5), separators=SPACING)
def test_items_are_the_text_that_was_written(items: list[Any], separators: tuple[str, str]) -> None:
    """Each item keeps its exact text, with lone surrogates in escapes as well."""
    texts = [json.dumps(item, separators=separators) for item in items]
    comma, colon = separators
    body = f'{{ "messages"{colon}[{comma.join(texts)}] }}'
    assert [bytes(item).decode() for item in batch.split_batch(body.encode())] == texts


def test_the_last_duplicate_counts() -> None:
    """Of two members the last one counts, whichever decoder finds it."""
    for escape in (rb"\u00e9", rb"\ud800"):
        body = b'{"messages":[1,"%b"],"messages":[ "%b" , [1] ]}' % (escape, escape)
        assert list(map(bytes, batch.split_batch(body))) == [b'"%b"' % escape, b"[1]"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "message is not valid JSON: Input data was truncated"),
        (b'{"messages":[1 2]}', "message is not valid JSON: expected ',' or ']' (byte 15)"),
        (b'{"messages":["\\ud800"', "message is not valid JSON: Input data was truncated"),
        (b'{"messages":["\xff"]}', "body is not UTF-8"),
        (b"[]", "message must be a JSON object"),
        (b"{}", "messages is required"),
        (b'{"messages":["\\ud800"],"x":1}', "unknown field 'x'; known fields are messages"),
        (b'{"messages":null}', "messages must be an array"),
        (b'{"messages":[],"x":1}', "unknown field 'x'; known fields are messages"),
        (b'{"messages":[%b]}' % (b"[" * 100_000 + b"]" * 100_000), "message is nested too deeply"),
    ],
)
def test_bodies_that_are_refused(body: bytes, message: str) -> None:
    """What is wrong with a body as a whole is named."""
    with pytest.raises(BadRequest) as caught:
        batch.split_batch(body)
    assert str(caught.value) == message


def test_number_of_items_is_bounded() -> None:
    """A batch of 1,000 is accepted, and one more is too many."""
    body = b'{"messages":[%b]}'
    assert len(batch.split_batch(body % b",".join([b"1"] * 1000))) == 1000
    with pytest.raises(MessageTooLarge, match="at most 1000 messages"):
        batch.split_batch(body % b",".join([b"1"] * 1001))


def test_commas_inside_of_items() -> None:
    """A few items with many commas are accepted."""
    numbers = b"[%b]" % b",".join([b"1"] * 50_000)
    body = b'{"messages":[%b,%b]}' % (numbers, numbers)
    assert list(map(bytes, batch.split_batch(body))) == [numbers, numbers]


@pytest.mark.parametrize("first", [b"1", b'"\\ud800"'])
def test_too_many_items_are_not_split(first: bytes) -> None:
    """Splitting stops at the limit, so a body of hundreds of thousands of items costs little."""
    body = b'{"messages":[%b%b]}' % (first, b",1" * 500_000)
    tracemalloc.start()
    try:
        with pytest.raises(MessageTooLarge, match="at most 1000 messages"):
            batch.split_batch(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * len(body)


def test_item() -> None:
    """An item that is as it should be needs no diagnosis; the id may be left out."""
    item = batch.decode_item(Raw(b'{"topic":"t","payload":99.50}'))
    assert item is not None
    assert (item.topic, bytes(item.payload), item.id, item.once) == ("t", b"99.50", UNSET, False)


@pytest.mark.parametrize(
    "text", ['{"topic":"t","payload":"\\ud800"}', '{"payload":1,"topic":"\\ud800"}']
)
def test_valid_item_that_takes_the_diagnosis(text: str) -> None:
    """Half a surrogate pair is valid JSON, so an item that has one is decoded in the slow way."""
    item = Raw(text.replace("}", f',"id":"{UUID}","once":true}}').encode())
    assert batch.decode_item(item) is None
    decoded = batch.diagnose_item(item)
    assert (decoded.id, decoded.once) == (UUID, True)
    fields = json.loads(text)
    assert decoded.topic == fields["topic"]
    assert json.loads(bytes(decoded.payload)) == fields["payload"]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("3", "message must be a JSON object"),
        ('{"payload":1}', "topic is required"),
        ('{"payload":1,"topic":null}', "topic is required"),
        ('{"payload":1,"topic":5}', "topic must be a string"),
        ('{"topic":"t"}', "payload is required"),
        ('{"topic":"t","payload":1,"id":"x"}', "id must be a valid UUID"),
        ('{"topic":"t","payload":1,"once":1}', "once must be true or false"),
        (
            '{"topic":"t","payload":1,"x":1}',
            "unknown field 'x'; known fields are payload, id, once, topic",
        ),
    ],
)
def test_items_that_are_refused(item: str, message: str) -> None:
    """What is wrong with an item is named."""
    assert batch.decode_item(Raw(item.encode())) is None
    with pytest.raises(BadRequest) as caught:
        batch.diagnose_item(Raw(item.encode()))
    assert str(caught.value) == message


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_accepted_or_refused(body: bytes) -> None:
    """No body raises any exception but BadRequest."""
    with suppress(BadRequest):
        for item in batch.split_batch(body):
            batch.decode_item(item)


@given(JSON)
def test_any_item_is_accepted_or_refused(value: Any) -> None:
    """No item raises any exception but BadRequest."""
    with suppress(BadRequest):
        batch.diagnose_item(Raw(json.dumps(value).encode()))
