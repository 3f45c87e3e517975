"""Diagnosis: the wording of every refusal, and commands that only the slow decoder accepts."""

import json

import pytest
from msgspec import UNSET

from pubsub.protocol import diagnosis
from pubsub.protocol.messages import (
    COMMAND_TYPES,
    AskHistory,
    AskPresence,
    Ping,
    Recover,
    Since,
    Subscribe,
    Unsubscribe,
)
from tests.bad_messages import BAD_MESSAGES, TOPIC_RULE
from tests.protocol.support import decode, refusal


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_bad_message(name: str) -> None:
    """The message names the fault; the rule for topic names is the broker's to check."""
    text, message = BAD_MESSAGES[name]
    if message == TOPIC_RULE and "\\ud800" not in text:
        assert decode(text).topic == json.loads(text)["topic"]
    else:
        assert str(refusal(text)).startswith(message)


def test_every_command_is_diagnosed() -> None:
    """Every command type is known to the slow decoder, with a message of its own."""
    for command in COMMAND_TYPES:
        slow = f'{{"type":"{command}","request_id":"r","x":"\\ud800"}}'
        if command == "ping":
            assert diagnosis.decode_command_slowly(slow) == Ping("r")
        else:
            field = "token" if command == "auth" else "topic"
            assert str(refusal(slow)) == f"{field} is required"


def test_refusal_carries_what_could_be_read() -> None:
    """A refusal carries the request id and the topic if they are valid themselves."""
    error = refusal('{"type":"publish","topic":"t","request_id":"r"}')
    assert (error.request_id, error.topic) == ("r", "t")
    error = refusal('{"type":"publish","topic":"a b","request_id":5}')
    assert (error.request_id, error.topic) == (UNSET, UNSET)
    error = refusal('{"type":"publish","topic":5}')
    assert error.topic is UNSET


def test_half_a_surrogate_pair_in_an_unknown_field() -> None:
    """Half a surrogate pair is valid JSON, so every command may carry one in an unknown field."""
    extra = '"x":"\\ud800"'
    assert decode(f'{{"type":"ping",{extra}}}') == Ping()
    assert decode(f'{{"type":"unsubscribe","topic":"t",{extra}}}') == Unsubscribe("t")
    assert decode(f'{{"type":"subscribe","topic":"t",{extra}}}') == Subscribe("t")


def test_numbers_of_any_length() -> None:
    """Python's limit on the digits of an integer does not apply to clients."""
    command = decode('{"type":"subscribe","topic":"t","last_n":%s}' % ("9" * 10_000))
    assert command.last_n > 10**30


def test_slow_but_valid_positions() -> None:
    """A position may have an offset of any length, and stand in a command with a lone surrogate."""
    since = {"epoch": "x", "offset": 10**29}
    for more in ({}, {"more": "\ud800"}):
        recover = since | {"client_id": "c"}
        text = json.dumps({"type": "subscribe", "topic": "t", "recover": recover} | more)
        wanted = Recover(epoch="x", offset=10**29, client_id="c")
        assert decode(text) == Subscribe(topic="t", recover=wanted)
        text = json.dumps({"type": "history", "topic": "t", "since": since, "limit": 5} | more)
        position = Since(epoch="x", offset=10**29)
        assert decode(text) == AskHistory(topic="t", since=position, limit=5)
    text = json.dumps({"type": "presence", "topic": "t", "more": "\ud800"})
    assert decode(text) == AskPresence(topic="t")
