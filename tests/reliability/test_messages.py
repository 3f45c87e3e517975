"""Messages made from the AsyncAPI document, right and wrong in every field."""

import json
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pubsub.protocol.messages import REPLIES
from tests.live.client import Client
from tests.live.conftest import StartServer
from tests.reliability.conftest import SEED, Record, scaled
from tests.reliability.traces import LeavesNoTrace

Schema = dict[str, Any]

TOPIC = "t"

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3)
    ),
    max_leaves=6,
)
"""Anything that `json.dumps` accepts, including NaN and infinity, which are not JSON."""


def values(schema: Schema, schemas: dict[str, Schema]) -> st.SearchStrategy[Any]:
    """Return values that the schema allows, as far as the schemas of commands go."""
    match schema:
        case {"$ref": reference}:
            return values(schemas[reference.rpartition("/")[2]], schemas)
        case {"enum": allowed}:
            return st.sampled_from(allowed)
        case {"type": "object", "properties": fields}:
            required = schema.get("required", [])
            made = {name: values(field, schemas) for name, field in fields.items()}
            return st.fixed_dictionaries(
                {name: made[name] for name in made if name in required},
                optional={name: made[name] for name in made if name not in required},
            )
        case {"type": "string", "pattern": pattern}:
            return st.just(TOPIC) | st.from_regex(pattern, fullmatch=True)
        case {"type": "string"}:
            return st.text(max_size=schema.get("maxLength", 200))
        case {"type": "integer"}:
            return st.integers(min_value=schema.get("minimum"))
        case _:
            return anything


def spoiled(message: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return messages in which one field is missing, wrong or new."""
    fields = st.sampled_from(sorted(message))
    return (
        fields.map(lambda gone: {name: message[name] for name in message if name != gone})
        | st.builds(lambda name, value: {**message, name: value}, fields, anything)
        | st.builds(lambda name, value: {**message, name: value}, st.text(max_size=8), anything)
    )


def messages(schemas: dict[str, Schema], commands: list[str]) -> st.SearchStrategy[bytes]:
    """Return what one text frame contains: most are commands, some are not even JSON."""
    right = st.one_of([values(schemas[command], schemas) for command in commands])
    return (
        (right | right.flatmap(spoiled) | anything).map(lambda value: json.dumps(value).encode())
        | st.text(max_size=40).map(str.encode)
        | st.binary(max_size=40)
    )


def converse(client: Client, frames: list[bytes]) -> list[str]:
    """Send the messages, each as text or, if it is not UTF-8, as binary; return all answers."""
    for frame in frames:
        try:
            client.send(frame.decode())
        except UnicodeDecodeError:
            client.send_frame(2, frame)  # type: ignore[arg-type]
    client.send(type="ping", request_id="the last one")
    answers = [client.receive_text()]
    while '"the last one"' not in answers[-1]:
        answers.append(client.receive_text())
    return answers


def test_any_message(start_server: StartServer, record: Record) -> None:
    """Every answer is one that the document describes, and no message closes its connection."""
    server = start_server(CHATROOM_HISTORY_SIZE="10", CHATROOM_AUTO_CREATE_TOPICS="true")
    server.create_topic(TOPIC)
    document = server.request("GET", "/asyncapi.json")[1]
    schemas = document["components"]["schemas"]
    received = [name for name, what in document["operations"].items() if what["action"] != "send"]
    commands = [
        document["components"]["messages"][name]["payload"]["$ref"].rpartition("/")[2]
        for name in received
    ]
    replies = [reply.__name__ for reply in REPLIES]
    is_described = Draft202012Validator(
        {"oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in replies]}
        | {"components": {"schemas": schemas}}
    )
    sent = 0

    @seed(SEED)
    @settings(
        max_examples=scaled(30, most=1200),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(messages(schemas, commands), max_size=8))
    def send_and_check(frames: list[bytes]) -> None:
        nonlocal sent
        sent += len(frames)
        client = server.connect()
        listener = server.subscriber(TOPIC)
        answers = converse(client, frames) + converse(listener, [])
        for answer in answers:
            is_described.validate(json.loads(answer))
            assert '"INTERNAL"' not in answer
        server.reset_clients()

    with LeavesNoTrace(server) as trace:
        send_and_check()
    record(f"{sent:,} messages", f"no connection; memory grew by {trace.growth / 2**20:.1f} MiB")
