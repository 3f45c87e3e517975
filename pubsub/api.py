"""The REST endpoints: topics, publishing, health and statistics."""

from typing import Any

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from ninja import Field, NinjaAPI, Schema, Status
from ninja.renderers import BaseRenderer

import pubsub
from pubsub.core.broker import Broker
from pubsub.core.errors import TOPIC_NAME_RULE, InvalidTopicName, PubSubError, TopicExists
from pubsub.protocol import bodies, replies
from pubsub.protocol.codes import ErrorCode
from pubsub.protocol.errors import ProtocolError, error_code
from pubsub.protocol.messages import Message, NewTopic, Publication
from pubsub.runtime import get_runtime

_STATUSES = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.LIMIT_EXCEEDED: 403,
    ErrorCode.TOPIC_NOT_FOUND: 404,
    ErrorCode.TOPIC_EXISTS: 409,
    ErrorCode.MESSAGE_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
}


class _Renderer(BaseRenderer):
    media_type = "application/json"

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:
        return msgspec.json.encode(data)


api = NinjaAPI(
    title="Chat room",
    version=pubsub.__version__,
    description="Topics, health and statistics of the chat room. Messages themselves travel over "
    "the WebSocket at `/ws`.",
    renderer=_Renderer(),
)

# --- What goes out ------------------------------------------------------------------------------


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


class TopicList(Schema):
    topics: list[TopicSummary]


class Published(Schema):
    status: str = Field(examples=["published"])
    topic: str = Field(examples=["orders"])
    id: str = Field(description="The message's id.")
    subscribers: int = Field(description="Subscribers of the topic, the slow ones among them.")


class Health(Schema):
    status: str = Field(examples=["ok"])
    uptime_sec: int
    topics: int
    clients: int = Field(description="Connected WebSocket clients.")
    subscribers: int = Field(description="Subscriptions over all topics.")


class TopicCounters(Schema):
    messages: int = Field(description="Messages published since the topic was created.")
    subscribers: int
    delivered: int = Field(description="Messages times the subscribers they were queued for.")
    dropped: int = Field(description="Messages times the subscribers too slow for them.")


class Totals(Schema):
    topics: int
    clients: int
    subscribers: int
    messages: int
    delivered: int
    dropped: int


class Stats(Schema):
    topics: dict[str, TopicCounters]
    totals: Totals = Field(description="Since the start, deleted topics included.")
    uptime_sec: int


class ClientSubscriptions(Schema):
    client_id: str
    topics: list[str]


class Subscriptions(Schema):
    total_clients: int
    total_topics: int
    subscriptions: list[ClientSubscriptions]
    topic_breakdown: dict[str, list[str]] = Field(description="Client ids by topic.")


# --- What comes in ------------------------------------------------------------------------------


def _json_body(structure: type[msgspec.Struct], **examples: dict[str, Any]) -> dict[str, Any]:
    """Describe a request body that `pubsub.protocol.bodies` decodes."""
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


class _Refused(Exception):
    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def _body(request: HttpRequest) -> bytes:
    if request.content_type != "application/json":
        raise _Refused(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json")
    limit = get_runtime().config.max_message_bytes
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if (declared.isdecimal() and int(declared) > limit) or len(request.body) > limit:
        raise _Refused(ErrorCode.MESSAGE_TOO_LARGE, f"request body exceeds {limit} bytes")
    return request.body


def _broker() -> Broker:
    return get_runtime().enter()


# --- Endpoints ----------------------------------------------------------------------------------


@api.post(
    "/topics",
    response={
        201: TopicCreated,
        409: TopicConflict,
        (400, 403, 413, 415): ErrorBody,
    },
    openapi_extra=_json_body(
        NewTopic, plain={"name": "orders"}, with_history={"name": "orders", "history": 100}
    ),
    summary="Create a topic",
    tags=["Topics"],
)
async def create_topic(request: HttpRequest) -> Any:
    """Create a topic. Of many requests for one name at the same time exactly one gets 201."""
    topic = bodies.decode_new_topic(_body(request))
    try:
        _broker().create_topic(topic.name, history_size=topic.history)
    except InvalidTopicName:
        raise _Refused(ErrorCode.BAD_REQUEST, f"name {TOPIC_NAME_RULE}") from None
    return Status(201, {"status": "created", "topic": topic.name})


@api.get("/topics", response=TopicList, summary="List the topics", tags=["Topics"])
async def list_topics(request: HttpRequest) -> Any:
    """List all topics and the number of their subscribers, sorted by name."""
    counts = _broker().subscriber_counts()
    return {"topics": [{"name": name, "subscribers": count} for name, count in counts.items()]}


@api.delete(
    "/topics/{name}",
    response={200: TopicDeleted, 404: ErrorBody},
    summary="Delete a topic",
    tags=["Topics"],
)
async def delete_topic(request: HttpRequest, name: str) -> Any:
    """Delete a topic. Its subscribers are told, and stay connected."""
    _broker().delete_topic(name, replies.encode_topic_deleted(name))
    return {"status": "deleted", "topic": name}


@api.post(
    "/topics/{name}/messages",
    response={200: Published, (400, 403, 404, 413, 415): ErrorBody},
    openapi_extra=_json_body(
        Publication,
        plain={"payload": {"order_id": "ORD-123", "amount": 99.5}},
        with_id={"id": "550e8400-e29b-41d4-a716-446655440000", "payload": "hello"},
    ),
    summary="Publish a message",
    tags=["Messages"],
)
async def publish(request: HttpRequest, name: str) -> Any:
    """Publish a message to a topic. The payload reaches subscribers byte for byte."""
    publication = bodies.decode_publication(_body(request))
    message = Message(id=str(publication.id), payload=publication.payload)
    subscribers = _broker().publish(name, message.id, message.payload)
    return {"status": "published", "topic": name, "id": message.id, "subscribers": subscribers}


@api.get("/health", response=Health, summary="Tell whether the server works", tags=["Monitoring"])
async def health(request: HttpRequest) -> Any:
    """Answer, which shows that the event loop does its work."""
    statistics = _broker().statistics()
    return {
        "status": "ok",
        "uptime_sec": int(statistics.uptime),
        "topics": len(statistics.topics),
        "clients": statistics.clients,
        "subscribers": statistics.subscribers,
    }


@api.get("/stats", response=Stats, summary="Count messages", tags=["Monitoring"])
async def stats(request: HttpRequest) -> Any:
    """Count messages, deliveries and losses, by topic and in all."""
    statistics = _broker().statistics()
    return {
        "topics": {
            name: {
                "messages": topic.messages,
                "subscribers": topic.subscribers,
                "delivered": topic.delivered,
                "dropped": topic.dropped,
            }
            for name, topic in statistics.topics.items()
        },
        "totals": {
            "topics": len(statistics.topics),
            "clients": statistics.clients,
            "subscribers": statistics.subscribers,
            "messages": statistics.messages,
            "delivered": statistics.delivered,
            "dropped": statistics.dropped,
        },
        "uptime_sec": int(statistics.uptime),
    }


@api.get(
    "/subscriptions",
    response=Subscriptions,
    summary="Show who subscribes to what",
    tags=["Monitoring"],
)
async def subscriptions(request: HttpRequest) -> Any:
    """Show the connected clients with their topics, and the topics with their subscribers."""
    broker = _broker()
    by_client = broker.subscriptions()
    by_topic: dict[str, list[str]] = {name: [] for name in broker.subscriber_counts()}
    for client_id, topics in by_client.items():
        for topic in topics:
            by_topic[topic].append(client_id)
    return {
        "total_clients": len(by_client),
        "total_topics": len(by_topic),
        "subscriptions": [
            {"client_id": client_id, "topics": topics} for client_id, topics in by_client.items()
        ],
        "topic_breakdown": by_topic,
    }


# --- Errors -------------------------------------------------------------------------------------


def _refuse(request: HttpRequest, code: ErrorCode, message: str, **more: str) -> HttpResponse:
    body = {**more, "error": {"code": code, "message": message}}
    return api.create_response(request, body, status=_STATUSES.get(code, 500))


@api.exception_handler(TopicExists)
def _on_topic_exists(request: HttpRequest, error: TopicExists) -> HttpResponse:
    return _refuse(request, ErrorCode.TOPIC_EXISTS, str(error), status="exists", topic=error.topic)


@api.exception_handler(PubSubError)
def _on_pubsub_error(request: HttpRequest, error: PubSubError) -> HttpResponse:
    return _refuse(request, error_code(error), str(error))


@api.exception_handler(ProtocolError)
def _on_protocol_error(request: HttpRequest, error: ProtocolError) -> HttpResponse:
    return _refuse(request, error.code, str(error))


@api.exception_handler(_Refused)
def _on_refused(request: HttpRequest, error: _Refused) -> HttpResponse:
    return _refuse(request, error.code, str(error))


@api.exception_handler(RequestDataTooBig)
def _on_too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return _refuse(request, ErrorCode.MESSAGE_TOO_LARGE, "request body is too large")
