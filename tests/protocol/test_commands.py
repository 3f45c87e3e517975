"""Commands in: bytes to structures, and what is refused without being decoded."""

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from pubsub.protocol import commands
from pubsub.protocol.errors import BadRequest, MessageTooLarge, RateLimited
from pubsub.protocol.messages import Ping, Publish, Subscribe, Unsubscribe
from tests.protocol.support import JSON, SPACING, UUID, decode


def test_commands() -> None:
    """Each command becomes the structure of its type; unknown fields are ignored."""
    assert decode('{"type":"ping","client_id":"x"}') == Ping()
    assert decode('{"request_id":"r","type":"unsubscribe","topic":"t"}') == Unsubscribe("t", "r")
    assert decode('{"type":"subscribe","topic":"t","last_n":5}') == Subscribe("t", 5)
    command = decode(
        f'{{"type":"publish","topic":"t","message":{{"payload":[ 1 ],"id":"{UUID}"}}}}'
    )
    assert isinstance(command, Publish)
    assert (command.topic, command.message.id) == ("t", UUID)
    assert bytes(command.message.payload) == b"[ 1 ]"


@given(payload=JSON, separators=SPACING, ascii_only=st.booleans())
def test_payload_is_the_text_that_was_written(
    payload: Any, separators: tuple[str, str], ascii_only: bool
) -> None:
    """A payload keeps its exact text, whether the fast or the slow decoder reads it."""
    text = json.dumps(payload, separators=separators, ensure_ascii=ascii_only)
    if not ascii_only and re.search("[\ud800-\udfff]", text):
        return  # a text frame is UTF-8, which cannot represent half a pair
    decoys = '"x":{"payload":0,"message":{"payload":0}},"message":{"payload":1}'
    command = decode(
        f'{{"type":"publish","topic":"t",{decoys},'
        f'"message" : {{"payload":2,"id":"{UUID}","payload" :\n{text} }} }}'
    )
    assert bytes(command.message.payload).decode() == text


@given(st.text() | JSON.map(json.dumps))
def test_anything_is_a_command_or_refused(text: str) -> None:
    """No text raises any exception but BadRequest."""
    with suppress(BadRequest):
        decode(text)


def test_size_is_counted_in_bytes() -> None:
    """The limit counts bytes of UTF-8, and the refusal still carries the request id."""
    fits = '{"type":"ping","request_id":"é"}'
    size = len(fits.encode())
    assert commands.decode_command(fits, max_bytes=size) == Ping("é")
    with pytest.raises(MessageTooLarge, match=f"exceeds {size - 1} bytes") as refused:
        commands.decode_command(fits, max_bytes=size - 1)
    assert refused.value.request_id == "é"
    with pytest.raises(MessageTooLarge) as refused:
        commands.decode_command("x" * 20, max_bytes=10)
    assert refused.value.request_id is UNSET


def test_binary_frames_are_refused() -> None:
    """The refusal of a binary frame carries the request id if there is one."""
    with pytest.raises(BadRequest, match="binary frames are not accepted") as refused:
        commands.refuse_binary(b'{"request_id":"r"}')
    assert refused.value.request_id == "r"


def test_messages_over_the_rate_are_refused() -> None:
    """The refusal carries the request id, if there is one, whatever else the message holds."""
    for text, request_id in (('{"request_id":"r"}', "r"), ("nonsense", UNSET)):
        with pytest.raises(RateLimited, match="too many messages") as refused:
            commands.refuse_rate(text)
        assert refused.value.request_id == request_id


def test_ping_for_the_process() -> None:
    """A ping may ask for the process, and says what is wrong if it does so badly."""
    assert decode('{"type":"ping","process":true}') == Ping(process=True)
    with pytest.raises(BadRequest, match="process must be true or false"):
        decode('{"type":"ping","process":1}')
