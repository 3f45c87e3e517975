"""The JSON of requests and responses, as described in the OpenAPI document."""

from typing import Any, Literal

import msgspec
from ninja import Field, Schema

# --- Responses -----------------------------------------------------------------------------------


class ErrorDetail(Schema):
    code: str = Field(description="For programs: BAD_REQUEST, TOPIC_NOT_FOUND, …")
    message: str = Field(description="For people.")


class ErrorBody(Schema):
    error: ErrorDetail


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


class Listing(Schema):
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


class Member(Schema):
    user: str | None = Field(None, description="Left out for a client without a user.")
    client_id: str | None = Field(None, description="Left out for a user.")
    info: dict[str, Any] | None = Field(
        None, description="What the token or the authorizer says about the user."
    )
    clients: int | None = Field(
        None, description="The user's connections; 0 if the last one has just been lost."
    )


class Presence(Schema):
    type: Literal["presence"]
    topic: str = Field(examples=["orders"])
    ts: str
    clients: int = Field(description="Subscribers of the topic.")
    users: int = Field(description="Different users among them.")
    members: list[Member] | None = Field(None, description="Left out if there are too many.")
    truncated: Literal[True] | None = Field(None, description="Present if there are too many.")


class Health(Schema):
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
    status: Literal["draining"] = Field(description="Why new clients should go elsewhere.")


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
    uptime_sec: int


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


class ClientList(Schema):
    clients: list[ConnectedClient]
    truncated: bool | None = Field(None, description="Whether more clients follow.")
    next: str | None = Field(None, description="The `cursor` of the next page, if it is truncated.")
    total: int | None = Field(None, description="All matching clients, if it is truncated.")


class Disconnected(Schema):
    status: str = Field(examples=["disconnected"])
    clients: int = Field(description="The number of clients that were disconnected.")


# --- Requests ------------------------------------------------------------------------------------


def json_body(structure: type[msgspec.Struct], **examples: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI description of a body that `pubsub.protocol.bodies` decodes."""
    schema = msgspec.json.schema(structure)["$defs"][structure.__name__]
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
