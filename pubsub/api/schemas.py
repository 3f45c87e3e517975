"""The JSON of requests and responses, as described in the OpenAPI document."""

from typing import Any, Literal

import msgspec
from ninja import Field, Schema

from pubsub.protocol.batch import MAX_BATCH_MESSAGES, Batch, BatchPublication

# --- Responses -----------------------------------------------------------------------------------


class ErrorDetail(Schema):
    code: str = Field(description="For programs: BAD_REQUEST, TOPIC_NOT_FOUND, …")
    message: str = Field(description="For people.")


class ErrorBody(Schema):
    error: ErrorDetail


class Process(Schema):
    id: str = Field(description="16 hexadecimal digits, new at every start.")
    uptime_sec: int
    clients: int = Field(description="Clients connected to this process.")
    age_ms: int = Field(description="The age of what is known of the process.")


class OfRoom(Schema):
    """What an answer about all processes has in addition."""

    processes: list[Process] | None = Field(
        None,
        description="The processes that are alive, with the answering one first. Left out without "
        "a cluster, and for `scope=process`.",
    )
    complete: Literal[False] | None = Field(
        None,
        description="Present if a process did not answer in time, so that its last known figures "
        "were taken, or if this one is cut off from the others.",
    )


class TopicCreated(Schema):
    status: str = Field(examples=["created"])
    topic: str = Field(examples=["orders"])


class TopicConflict(ErrorBody):
    status: str = Field(examples=["exists"])
    topic: str = Field(examples=["orders"])


class TopicDeleted(Schema):
    status: str = Field(examples=["deleted"])
    topic: str = Field(examples=["orders"])


class TopicSummary(Schema):
    name: str = Field(examples=["orders"])
    subscribers: int


class TopicDetails(OfRoom):
    name: str = Field(examples=["orders"])
    history: int = Field(description="Messages that the topic keeps; 0 for none.")
    history_seconds: float | None = Field(
        description="Seconds for which a message is kept; null for no limit."
    )
    presence: bool = Field(description="Whether subscribers may ask who is there.")
    overflow: str = Field(description="What a full outbox does with an event of this topic.")
    epoch: str | None = Field(None, description="Left out if the topic keeps no history.")
    offset: int | None = Field(
        None, description="Of the newest message. Left out if the topic keeps no history."
    )
    messages: int = Field(description="Messages published since the topic was created.")
    subscribers: int
    delivered: int = Field(
        description="Counted once for every subscriber that a message was queued for."
    )
    dropped: int = Field(description="Counted once for every subscriber that lost a message.")


class Listing(OfRoom):
    """What every listing has in addition, on all pages but the last."""

    truncated: Literal[True] | None = Field(None, description="Present if more rows follow.")
    next: str | None = Field(None, description="The `cursor` of the next page.")
    total: int | None = Field(None, description="Rows of all pages together.")


class TopicList(Listing):
    topics: list[TopicSummary]


class Published(Schema):
    status: str = Field(examples=["published"])
    topic: str = Field(examples=["orders"])
    id: str = Field(description="The message's id.")
    subscribers: int = Field(description="Subscribers of the topic, including slow ones.")
    offset: int | None = Field(
        None, description="The message's position, if the topic keeps history."
    )
    duplicate: Literal[True] | None = Field(
        None, description="Present if the message was published before, and so not once more."
    )


class PastMessage(Schema):
    offset: int
    message: dict[str, Any] = Field(description="With its `id` and its `payload`.")
    ts: str = Field(description="When it was accepted (RFC 3339).")
    user: str | None = Field(None, description="The authenticated user who published it.")


class History(Schema):
    topic: str = Field(examples=["orders"])
    ts: str
    epoch: str
    offset: int = Field(description="Of the newest message of the topic.")
    complete: bool = Field(
        description="Whether no message is missing between the position asked for, or the first "
        "message here, and the last one here."
    )
    messages: list[PastMessage]


class BatchResults(Schema):
    results: list[Published | ErrorBody] = Field(
        description="What became of each message, in the order of the request."
    )


class Member(Schema):
    user: str | None = Field(None, description="Left out for a client without a user.")
    client_id: str | None = Field(None, description="Left out for a user.")
    info: dict[str, Any] | None = Field(
        None, description="What the token or the authorizer says about the user."
    )
    clients: int | None = Field(
        None, description="The user's connections; 0 if the last one has just been lost."
    )


class Presence(OfRoom):
    type: Literal["presence"]
    topic: str = Field(examples=["orders"])
    ts: str
    clients: int = Field(description="Subscribers of the topic.")
    users: int = Field(description="Different users among them.")
    members: list[Member] | None = Field(None, description="Left out if there are too many.")
    truncated: Literal[True] | None = Field(None, description="Present if there are too many.")


class Health(OfRoom):
    status: Literal["ok", "split"] = Field(
        description="`split` if several processes serve one port, each with its own topics.",
        examples=["ok"],
    )
    uptime_sec: int | None = Field(None, description="Left out if authentication is on.")
    topics: int | None = Field(None, description="Left out if authentication is on.")
    clients: int | None = Field(
        None, description="Connected WebSocket clients. Left out if authentication is on."
    )
    subscribers: int | None = Field(
        None, description="Subscriptions over all topics. Left out if authentication is on."
    )
    problem: str | None = Field(None, description="What is wrong, unless the status is `ok`.")


class Alive(Schema):
    status: Literal["ok"]


class NotReady(Schema):
    status: Literal["draining", "degraded"] = Field(
        description="Why new clients should go elsewhere: the server is stopping, or the other "
        "processes of the room are out of reach."
    )


class TopicCounters(Schema):
    messages: int = Field(description="Messages published since the topic was created.")
    subscribers: int
    delivered: int = Field(
        description="Counted once for every subscriber that a message was queued for."
    )
    dropped: int = Field(description="Counted once for every subscriber that lost a message.")


class Totals(Schema):
    topics: int
    clients: int
    subscribers: int
    messages: int
    delivered: int
    dropped: int
    history_bytes: int = Field(description="Bytes that the histories of all topics take.")
    history_evicted: int = Field(
        description="Messages evicted because the histories exceeded CHATROOM_HISTORY_BYTES."
    )


class Stats(Listing):
    topics: dict[str, TopicCounters]
    totals: Totals = Field(description="Since the start, including deleted topics.")
    uptime_sec: int = Field(description="Of the answering process.")


class ClientSubscriptions(Schema):
    client_id: str
    topics: list[str]


class Subscriptions(Listing):
    total_clients: int
    total_topics: int
    subscriptions: list[ClientSubscriptions]
    topic_breakdown: dict[str, list[str]] = Field(
        description="Client ids by topic, for the clients of this page."
    )


class ConnectedClient(Schema):
    client_id: str
    user: str | None = Field(description="The authenticated user, if there is one.")
    connected_sec: int = Field(description="Seconds since the client connected.")
    topics: int = Field(description="The client's subscriptions.")
    queued: int = Field(description="Frames that wait for the client to read.")
    dropped: int = Field(description="Messages that the client lost because it was too slow.")


class ClientList(OfRoom):
    clients: list[ConnectedClient]
    truncated: bool | None = Field(None, description="Whether more clients follow.")
    next: str | None = Field(None, description="The `cursor` of the next page, if it is truncated.")
    total: int | None = Field(None, description="All matching clients, if it is truncated.")


class Disconnected(OfRoom):
    status: str = Field(examples=["disconnected"])
    clients: int = Field(description="The number of clients that were disconnected.")


# --- Requests ------------------------------------------------------------------------------------


def json_body(structure: type[msgspec.Struct], **examples: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of a body that `pubsub.protocol.bodies` decodes."""
    return _body(_schema(structure), examples)


def batch_body(**examples: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of a body that `pubsub.protocol.batch` decodes."""
    other = {"description": "Anything else is refused by itself; the other messages are published."}
    messages = {
        "type": "array",
        "items": {"anyOf": [_schema(BatchPublication), other]},
        "maxItems": MAX_BATCH_MESSAGES,
    }
    return _body({**_schema(Batch), "properties": {"messages": messages}}, examples)


def _schema(structure: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema of a structure, without references, which OpenAPI would not find."""
    schema = msgspec.json.schema(structure)
    inlined: dict[str, Any] = _inlined({"$ref": schema["$ref"]}, schema["$defs"])
    return inlined


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inlined(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items()}


def _body(schema: dict[str, Any], examples: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": schema,
                    "examples": {name: {"value": value} for name, value in examples.items()},
                }
            },
        }
    }
