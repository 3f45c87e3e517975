"""Messages refused with BAD_REQUEST, each with the start of its error text."""

import json
from typing import Any

UUID = "550e8400-e29b-41d4-a716-446655440000"
DEEP = 60_000


def command(**fields: Any) -> str:
    """Return a command as JSON."""
    return json.dumps(fields)


def publish(**message: Any) -> str:
    """Return a publish command with this message."""
    return command(type="publish", topic="t", message=message)


def subscribe_with(last_n: str) -> str:
    """Return a subscribe command with this JSON text as its `last_n`."""
    return f'{{"type":"subscribe","topic":"t","last_n":{last_n}}}'


def recover(**position: Any) -> str:
    """Return a subscription that recovers a position."""
    return command(type="subscribe", topic="t", recover=position)


TOPIC_RULE = "topic must be 1 to 128 printable characters without white space or /"
REQUEST_ID_RULE = "request_id must be a string of at most 128 characters"
LAST_N_RULE = "last_n must be an integer of at least 0"
RECOVER_RULE = "recover must be an object"
OFFSET_RULE = "offset must be an integer of at least 0"
LIMIT_RULE = "limit must be an integer from 1 to 1000"
KNOWN_TYPES = "known types are subscribe, unsubscribe, publish, ping, auth, history, presence"

BAD_MESSAGES = {
    "not JSON": ("hello", "message is not valid JSON: "),
    "empty": ("", "message is not valid JSON: "),
    "cut short": ('{"type":"ping"', "message is not valid JSON: "),
    "two values": ('{"type":"ping"} {}', "message is not valid JSON: "),
    "array": ('["ping"]', "message must be a JSON object"),
    "string": ('"ping"', "message must be a JSON object"),
    "null": ("null", "message must be a JSON object"),
    "deep": ("[" * DEEP, "message is nested too deeply"),
    "deep, closed": ("[" * (DEEP // 2) + "]" * (DEEP // 2), "message is nested too deeply"),
    "deep payload": (
        '{"type":"publish","topic":"t","message":{"id":"%s","payload":%s}}'
        % (UUID, "[" * 30_000 + "]" * 30_000),
        "message is nested too deeply",
    ),
    "bad escape in payload": (
        '{"type":"publish","topic":"t","message":{"id":"%s","payload":"\\q"}}' % UUID,
        "message is not valid JSON: ",
    ),
    "control character in payload": (
        '{"type":"publish","topic":"t","message":{"id":"%s","payload":"a\nb"}}' % UUID,
        "message is not valid JSON: ",
    ),
    "no type": ("{}", f"type is required; {KNOWN_TYPES}"),
    "unknown type": (command(type="shout"), f"unknown type; {KNOWN_TYPES}"),
    "type of a wrong type": (command(type=["ping"]), f"unknown type; {KNOWN_TYPES}"),
    "type of a server message": (command(type="event"), f"unknown type; {KNOWN_TYPES}"),
    "no topic": (command(type="subscribe"), "topic is required"),
    "topic is null": (command(type="subscribe", topic=None), "topic is required"),
    "topic is a number": (command(type="unsubscribe", topic=5), "topic must be a string"),
    "topic empty": (command(type="subscribe", topic=""), TOPIC_RULE),
    "topic too long": (command(type="subscribe", topic="x" * 129), TOPIC_RULE),
    "topic with a space": (command(type="subscribe", topic="a b"), TOPIC_RULE),
    "topic with a no-break space": (command(type="unsubscribe", topic="a\u00a0b"), TOPIC_RULE),
    "topic with a slash": (
        command(type="publish", topic="a/b", message={"id": UUID, "payload": 1}),
        TOPIC_RULE,
    ),
    "topic with a control character": (command(type="subscribe", topic="a\x00"), TOPIC_RULE),
    "topic with a lone surrogate": ('{"type":"subscribe","topic":"\\ud800"}', TOPIC_RULE),
    "no message": (command(type="publish", topic="t"), "message is required"),
    "message is a string": (
        command(type="publish", topic="t", message="hi"),
        "message must be an object",
    ),
    "no id": (publish(payload=1), "message.id is required"),
    "id is a number": (publish(id=1, payload=1), "message.id must be a valid UUID"),
    "id is no UUID": (publish(id="570t8400", payload=1), "message.id must be a valid UUID"),
    "id without hyphens": (
        publish(id=UUID.replace("-", ""), payload=1),
        "message.id must be a valid UUID",
    ),
    "id in braces": (publish(id=f"{{{UUID}}}", payload=1), "message.id must be a valid UUID"),
    "id with a newline": (publish(id=f"{UUID}\n", payload=1), "message.id must be a valid UUID"),
    "no payload": (publish(id=UUID), "message.payload is required"),
    "last_n negative": (subscribe_with("-1"), LAST_N_RULE),
    "last_n is a fraction": (subscribe_with("1.5"), LAST_N_RULE),
    "last_n is a string": (subscribe_with('"5"'), LAST_N_RULE),
    "last_n is true": (subscribe_with("true"), LAST_N_RULE),
    "last_n is null": (subscribe_with("null"), LAST_N_RULE),
    "last_n is a negative 30-digit integer": (subscribe_with("-" + "9" * 30), LAST_N_RULE),
    "last_n is NaN": (subscribe_with("NaN"), "message is not valid JSON: NaN"),
    "last_n is Infinity": (subscribe_with("Infinity"), "message is not valid JSON: Infinity"),
    "recover is null": (command(type="subscribe", topic="t", recover=None), RECOVER_RULE),
    "recover is a number": (command(type="subscribe", topic="t", recover=41), RECOVER_RULE),
    "recover without an epoch": (recover(offset=1), "recover.epoch is required"),
    "recover without an offset": (recover(epoch="x"), "recover.offset is required"),
    "epoch is a number": (recover(epoch=1, offset=1), "recover.epoch must be a string"),
    "offset negative": (recover(epoch="x", offset=-1), f"recover.{OFFSET_RULE}"),
    "offset is a fraction": (recover(epoch="x", offset=1.5), f"recover.{OFFSET_RULE}"),
    "offset is true": (recover(epoch="x", offset=True), f"recover.{OFFSET_RULE}"),
    "former id is a number": (
        recover(epoch="x", offset=1, client_id=5),
        "recover.client_id must be a string",
    ),
    "presence is a string": (
        command(type="subscribe", topic="t", presence="yes"),
        "presence must be true or false",
    ),
    "once is a number": (
        command(type="publish", topic="t", message={"id": UUID, "payload": 1}, once=1),
        "once must be true or false",
    ),
    "history without a topic": (command(type="history"), "topic is required"),
    "history of none": (command(type="history", topic="t", limit=0), LIMIT_RULE),
    "history of too many": (command(type="history", topic="t", limit=1001), LIMIT_RULE),
    "history since null": (command(type="history", topic="t", since=None), "since must be an obj"),
    "history since nowhere": (
        command(type="history", topic="t", since={"epoch": "x"}),
        "since.offset is required",
    ),
    "presence without a topic": (command(type="presence"), "topic is required"),
    "request_id is a number": (command(type="ping", request_id=1), REQUEST_ID_RULE),
    "request_id is null": (command(type="ping", request_id=None), REQUEST_ID_RULE),
    "request_id too long": (command(type="ping", request_id="x" * 129), REQUEST_ID_RULE),
    "request_id with a lone surrogate": ('{"type":"ping","request_id":"\\ud800"}', REQUEST_ID_RULE),
}
