"""The AsyncAPI document: its examples, the protocol's page, and the server's own frames."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from pubsub.core.loss import Loss
from pubsub.core.publication import Frame, Publication
from pubsub.protocol import asyncapi, commands, replies
from pubsub.protocol.codes import Close, ErrorCode
from tests.bad_messages import BAD_MESSAGES

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
DOCUMENT = asyncapi.document(version="1.2.3", host="chat.example.org", path="/ws", secure=True)
EXAMPLES = [
    (name, example["payload"])
    for name, message in DOCUMENT["components"]["messages"].items()
    for example in message["examples"]
]


def resolve(reference: str) -> Any:
    """Follow a reference within the document."""
    value: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        value = value[part]
    return value


def validate(message: dict[str, Any], name: str | None = None) -> None:
    """Check a message against the schema of this name, by default that of its type."""
    reference = resolve(f"#/components/messages/{name or message['type']}")["payload"]
    schema = {**reference, "components": DOCUMENT["components"]}
    Draft202012Validator(schema).validate(message)


def references(value: Any) -> list[str]:
    """Return every reference in a part of the document."""
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for part in value.values() for found in references(part)]
    if isinstance(value, list):
        return [found for part in value for found in references(part)]
    return []


def test_address() -> None:
    """The document says where the WebSocket is."""
    assert DOCUMENT["servers"]["chatroom"] == {"host": "chat.example.org", "protocol": "wss"}
    assert DOCUMENT["channels"]["ws"]["address"] == "/ws"
    assert DOCUMENT["info"]["version"] == "1.2.3"


def test_shared_between_addresses() -> None:
    """Only what depends on the address is built for each request."""
    other = asyncapi.document(version="1.2.3", host="other.example.org", path="/ws", secure=False)
    assert other["servers"]["chatroom"] == {"host": "other.example.org", "protocol": "ws"}
    assert other["components"] is DOCUMENT["components"]
    assert other["operations"] is DOCUMENT["operations"]


def test_references_lead_somewhere() -> None:
    """Every reference can be followed, and the document can be written as JSON."""
    for reference in references(DOCUMENT):
        assert resolve(reference)
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_examples(name: str, example: dict[str, Any]) -> None:
    """Each example is valid, and those of clients are decoded as commands."""
    assert example["type"] == name.removesuffix("_reply")
    validate(example, name)
    if name in asyncapi.document(version="", host="", path="", secure=False)["operations"]:
        commands.decode_command(json.dumps(example), max_bytes=65_536)


def test_examples_of_the_protocol_page() -> None:
    """Every message in docs/protocol.md is one of the examples."""
    lines = re.findall(r'^\{"type".*\}$', PAGE, re.MULTILINE)
    lines += re.findall(r'`(\{"type".*?\})`', PAGE)
    assert len(lines) == 23
    known = [{**example, "ts": ""} for _, example in EXAMPLES]
    for line in lines:
        assert {**json.loads(line), "ts": ""} in known


def test_frames_of_the_server_are_valid() -> None:
    """Every kind of frame that the server sends matches its schema."""
    published = asyncapi.EXAMPLES["publish"]["an object"]
    command = commands.decode_command(json.dumps(published), max_bytes=65_536)
    message = command.message  # type: ignore[union-attr]
    publication = Publication("t", message.id, message.payload, None, 0, None)
    frames: list[Frame] = [
        replies.encode_ack("t"),
        replies.encode_ack("t", "r"),
        replies.encode_pong(),
        Frame(replies.encode_event(publication)),
        replies.encode_loss(Loss("t", 3)),
        replies.encode_loss(Loss("t", 3, 1, 4)),
        replies.encode_relay_gap("t", dropped=3),
        replies.encode_relay_gap("t", at_most=3),
        replies.encode_topic_deleted("t"),
        replies.encode_position_reset("t", "e"),
        replies.encode_shutdown(1730),
        *(replies.encode_error(ErrorCode(code), "x") for code in asyncapi.error_codes()),
    ]
    for frame in frames:
        validate(json.loads(frame.text))


def test_what_the_schemas_refuse() -> None:
    """The schemas refuse bad messages, as far as JSON Schema can express the rules."""
    refused = 0
    for text, _ in BAD_MESSAGES.values():
        try:
            validate(json.loads(text))
        except ValidationError:
            refused += 1
        except (ValueError, TypeError, KeyError, RecursionError):
            continue  # not JSON, not an object, or of an unknown type
    assert refused > 10


def test_codes() -> None:
    """The document has every close code, and every error code that a message may carry."""
    codes = [code for code, _, _ in asyncapi.close_codes()]
    assert codes == sorted([1009, *(close.code for close in Close)])
    of_rest = {
        *("TOPIC_EXISTS", "NOT_FOUND", "METHOD_NOT_ALLOWED", "UNSUPPORTED_MEDIA_TYPE"),
        "UPGRADE_REQUIRED",
    }
    assert set(asyncapi.error_codes()) == set(ErrorCode) - of_rest
