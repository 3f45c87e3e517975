"""The AsyncAPI 3 document of the WebSocket, built from the structures that decode its messages.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from pubsub.protocol.codes import Close, ErrorCode
from pubsub.protocol.messages import COMMAND_TYPES, COMMANDS, REPLIES, TopicName

_ID = "550e8400-e29b-41d4-a716-446655440000"
_TS = "2025-08-25T10:01:00.000Z"

EXAMPLES: dict[str, dict[str, dict[str, Any]]] = {
    "subscribe": {
        "plain": {"type": "subscribe", "topic": "orders", "request_id": "sub-1"},
        "with a replay": {"type": "subscribe", "topic": "orders", "last_n": 5},
        "after a reconnection": {
            "type": "subscribe",
            "topic": "orders",
            "recover": {"epoch": "x9Qa71Bz", "offset": 41},
            "request_id": "sub-2",
        },
        "with presence": {"type": "subscribe", "topic": "orders", "presence": True},
    },
    "unsubscribe": {"plain": {"type": "unsubscribe", "topic": "orders", "request_id": "unsub-1"}},
    "publish": {
        "an object": {
            "type": "publish",
            "topic": "orders",
            "message": {"id": _ID, "payload": {"order_id": "ORD-123", "amount": 99.5}},
            "request_id": "pub-1",
        },
        "null": {"type": "publish", "topic": "orders", "message": {"id": _ID, "payload": None}},
        "at most once": {
            "type": "publish",
            "topic": "orders",
            "message": {"id": _ID, "payload": "hello"},
            "once": True,
        },
    },
    "ping": {
        "plain": {"type": "ping", "request_id": "ping-1"},
        "with the process": {"type": "ping", "process": True},
    },
    "auth": {"plain": {"type": "auth", "token": "…", "request_id": "a1"}},
    "history": {
        "newest": {"type": "history", "topic": "orders", "request_id": "h1"},
        "after a position": {
            "type": "history",
            "topic": "orders",
            "since": {"epoch": "x9Qa71Bz", "offset": 42},
            "limit": 17,
        },
    },
    "presence": {"plain": {"type": "presence", "topic": "orders", "request_id": "p1"}},
    "ack": {
        "of a subscription": {
            "type": "ack",
            "request_id": "sub-1",
            "topic": "orders",
            "status": "ok",
            "ts": "2025-08-25T10:00:00.000Z",
        },
        "of a recovered subscription": {
            "type": "ack",
            "request_id": "sub-2",
            "topic": "orders",
            "status": "ok",
            "ts": "2025-08-25T10:00:00.000Z",
            "epoch": "x9Qa71Bz",
            "offset": 57,
            "client_id": "3f0c1d52-7c0e-4c06-9b53-8a1a9f0e8d11",
            "recovered": True,
            "replayed": 16,
        },
        "of a repeated publication": {
            "type": "ack",
            "topic": "orders",
            "status": "ok",
            "ts": "2025-08-25T10:00:00.000Z",
            "offset": 58,
            "duplicate": True,
        },
        "of a publication that others may have missed": {
            "type": "ack",
            "topic": "orders",
            "status": "ok",
            "ts": "2025-08-25T10:00:00.000Z",
            "scope": "process",
        },
        "of a token": {
            "type": "ack",
            "request_id": "a1",
            "status": "ok",
            "ts": "2025-08-25T10:00:00.000Z",
            "client_id": "3f0c1d52-7c0e-4c06-9b53-8a1a9f0e8d11",
            "user": "42",
            "expires_in": 600,
        },
    },
    "event": {
        "an empty object": {
            "type": "event",
            "topic": "orders",
            "message": {"id": _ID, "payload": {}},
            "ts": _TS,
        },
        "of a topic with history": {
            "type": "event",
            "topic": "orders",
            "message": {"id": _ID, "payload": {}},
            "ts": _TS,
            "offset": 42,
        },
        "of an authenticated user": {
            "type": "event",
            "topic": "orders",
            "message": {"id": _ID, "payload": "hello"},
            "ts": _TS,
            "user": "42",
        },
    },
    "error": {
        "a refused command": {
            "type": "error",
            "request_id": "pub-1",
            "topic": "orders",
            "error": {"code": "BAD_REQUEST", "message": "message.id must be a valid UUID"},
            "ts": _TS,
        },
        "lost messages": {
            "type": "error",
            "topic": "orders",
            "error": {"code": "SLOW_CONSUMER", "message": "17 messages dropped"},
            "dropped": 17,
            "ts": _TS,
        },
        "messages lost between processes": {
            "type": "error",
            "topic": "orders",
            "error": {
                "code": "RELAY_GAP",
                "message": "3 messages from another process were lost",
            },
            "dropped": 3,
            "ts": _TS,
        },
    },
    "history_reply": {
        "complete": {
            "type": "history",
            "request_id": "h1",
            "topic": "orders",
            "ts": _TS,
            "epoch": "x9Qa71Bz",
            "offset": 61,
            "complete": True,
            "messages": [{"offset": 43, "message": {"id": _ID, "payload": {}}, "ts": _TS}],
        },
    },
    "presence_reply": {
        "everyone": {
            "type": "presence",
            "topic": "orders",
            "ts": _TS,
            "clients": 3,
            "users": 1,
            "members": [
                {"user": "42", "info": {}, "clients": 2},
                {"client_id": "3f0c1d52-7c0e-4c06-9b53-8a1a9f0e8d11"},
            ],
        },
        "a change": {
            "type": "presence",
            "topic": "orders",
            "ts": _TS,
            "clients": 2,
            "users": 1,
            "joined": [{"user": "43", "info": {}, "clients": 1}],
            "left": [{"client_id": "3f0c1d52-7c0e-4c06-9b53-8a1a9f0e8d11"}, {"user": "42"}],
        },
        "too many members": {
            "type": "presence",
            "topic": "orders",
            "ts": _TS,
            "clients": 5001,
            "users": 0,
            "truncated": True,
        },
    },
    "pong": {
        "plain": {"type": "pong", "request_id": "ping-1", "ts": _TS},
        "with the process": {"type": "pong", "ts": _TS, "process": "9f3c2a7be01d4c58"},
    },
    "info": {
        "a deleted topic": {"type": "info", "topic": "orders", "msg": "topic_deleted", "ts": _TS},
        "a topic whose order was lost": {
            "type": "info",
            "topic": "orders",
            "msg": "position_reset",
            "epoch": "k3Lm90Qe",
            "offset": 0,
            "ts": _TS,
        },
        "a right that was withdrawn": {
            "type": "info",
            "topic": "orders",
            "msg": "permission_revoked",
            "ts": _TS,
        },
        "a token that expires": {
            "type": "info",
            "msg": "token_expiring",
            "ts": _TS,
            "expires_in": 60,
        },
        "a server that stops": {
            "type": "info",
            "msg": "shutdown",
            "reconnect_in_ms": 1730,
            "ts": _TS,
        },
    },
}
"""Example messages as they are on the wire, by type and by what each of them shows."""

_TOPIC = msgspec.json.schema(TopicName)

_ANSWERS = {
    "subscribe": ("ack", "presence_reply", "error"),
    "unsubscribe": ("ack", "error"),
    "publish": ("ack", "error"),
    "ping": ("pong", "error"),
    "auth": ("ack", "error"),
    "history": ("history_reply", "error"),
    "presence": ("presence_reply", "error"),
}
_UNASKED = ("event", "info", "presence_reply", "error")

_ERRORS = {
    ErrorCode.BAD_REQUEST: "the message is not JSON, or a field is missing or wrong",
    ErrorCode.TOPIC_NOT_FOUND: "there is no such topic",
    ErrorCode.NOT_SUBSCRIBED: "the client is not subscribed to the topic",
    ErrorCode.MESSAGE_TOO_LARGE: "the message is too large",
    ErrorCode.LIMIT_EXCEEDED: "the limit on topics or subscriptions is reached",
    ErrorCode.RATE_LIMITED: "the client sends too many messages per second",
    ErrorCode.UNAUTHORIZED: "the client has no valid credentials",
    ErrorCode.FORBIDDEN: "the credentials do not cover this topic or this action",
    ErrorCode.SLOW_CONSUMER: "events were dropped; the field dropped is their number",
    ErrorCode.UNAVAILABLE: "other servers are out of reach; with unknown_fate, to repeat it tells",
    ErrorCode.RELAY_GAP: (
        "events from another process were lost; dropped is their number, or at_most its bound"
    ),
    ErrorCode.INTERNAL: "an internal error of the server",
}
"""The codes of ``error`` messages. All other codes are for REST only."""

_CLOSES = {
    Close.INTERNAL: "an internal error of the server; reconnect",
    Close.SHUTDOWN: "the server is stopping; reconnect",
    Close.EXPIRED: "the token has expired; get another one and reconnect",
    Close.NO_PONG: "the client did not respond to a ping; reconnect",
    Close.SLOW: "the client reads nothing, or too slowly; reconnect",
    Close.TOO_MANY_REQUESTS: "the client keeps sending in spite of RATE_LIMITED; reconnect",
    Close.INVALID_TOKEN: "the token is invalid; do not reconnect with it",
    Close.BAD_REQUEST: "the client sent too many malformed messages; do not reconnect",
    Close.STALE: "the client did not authenticate in time; do not reconnect",
    Close.FORCE_DISCONNECT: "the operator has disconnected the client; do not reconnect",
    Close.CONNECTION_LIMIT: "there are too many connections; do not reconnect",
}

_TOO_BIG = (1009, "", "a frame over the hard limit of the HTTP server")
"""Messages over ``max_message_bytes`` but below this limit get MESSAGE_TOO_LARGE instead."""


def document(*, version: str, host: str, path: str, secure: bool) -> dict[str, Any]:
    """Return the AsyncAPI document for the WebSocket at this address.

    Callers must not modify it: everything except the address is built once and shared.

    Args:
        version: The version of the application.
        host: The host name, with the port unless it is the default of the scheme.
        path: The path of the WebSocket.
        secure: Whether clients connect over TLS.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Chat room",
            "version": version,
            "description": "Publish and subscribe over a WebSocket: JSON objects in text frames. "
            "The server sends nothing before the client's first message, unless a token in the "
            "handshake is rejected or about to expire.",
        },
        "defaultContentType": "application/json",
        "servers": {"chatroom": {"host": host, "protocol": "wss" if secure else "ws"}},
        "channels": {"ws": _channel(path)},
        "operations": _operations(),
        "components": _components(),
    }


def error_codes() -> dict[str, str]:
    """Return the codes of ``error`` messages with their meanings."""
    return {str(code): meaning for code, meaning in _ERRORS.items()}


def close_codes() -> list[tuple[int, str, str]]:
    """Return the code, the reason and the meaning of each close code of the server."""
    ours = [(close.code, close.reason, meaning) for close, meaning in _CLOSES.items()]
    return sorted([_TOO_BIG, *ours])


def _all() -> tuple[type[Struct], ...]:
    return COMMANDS + REPLIES


def _tag(structure: type[Struct]) -> str:
    return str(structure.__struct_config__.tag)


def _name(structure: type[Struct]) -> str:
    """Return the name of a message: its type, which a command and its reply may share."""
    tag = _tag(structure)
    return f"{tag}_reply" if structure in REPLIES and tag in COMMAND_TYPES else tag


def _channel(path: str) -> dict[str, Any]:
    closes = ", ".join(
        f"{f'{code} {reason}'.strip()} ({why})" for code, reason, why in close_codes()
    )
    return {
        "address": path,
        "description": f"One WebSocket for all topics. The server closes it with: {closes}.",
        "messages": {
            _name(structure): {"$ref": f"#/components/messages/{_name(structure)}"}
            for structure in _all()
        },
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
    }


@cache
def _operations() -> dict[str, Any]:
    """Describe what the server receives and sends (AsyncAPI's point of view)."""
    operations: dict[str, Any] = {
        command: {
            "action": "receive",
            "channel": {"$ref": "#/channels/ws"},
            "summary": _summary(structure),
            "messages": [_message_ref(command)],
            "reply": {
                "channel": {"$ref": "#/channels/ws"},
                "messages": [_message_ref(answer) for answer in _ANSWERS[command]],
            },
        }
        for structure in COMMANDS
        for command in [_tag(structure)]
    }
    operations["notify"] = {
        "action": "send",
        "channel": {"$ref": "#/channels/ws"},
        "summary": "Events and notices, which are not replies to a command.",
        "messages": [_message_ref(name) for name in _UNASKED],
    }
    return operations


def _message_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/ws/messages/{name}"}


def _message(structure: type[Struct]) -> dict[str, Any]:
    name = _name(structure)
    return {
        "name": name,
        "title": structure.__name__,
        "summary": _summary(structure),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{structure.__name__}"},
        "examples": [
            {"name": example, "payload": payload} for example, payload in EXAMPLES[name].items()
        ],
    }


def _summary(structure: type[Struct]) -> str:
    return (structure.__doc__ or "").partition("\n")[0].replace("``", "`")


@cache
def _components() -> dict[str, Any]:
    return {
        "messages": {_name(structure): _message(structure) for structure in _all()},
        "schemas": _schemas(),
    }


def _schemas() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(_all(), ref_template="#/components/schemas/{name}")
    for structure in _all():
        schema = schemas[structure.__name__]
        schema["description"] = _summary(structure)
        if "topic" in schema["properties"]:
            schema["properties"]["topic"] |= _TOPIC
    schemas["ErrorDetail"]["properties"]["code"]["enum"] = list(_ERRORS)
    schemas["Info"]["properties"]["msg"]["enum"] = [
        *("topic_deleted", "position_reset", "permission_revoked", "token_expiring", "shutdown")
    ]
    identifier = schemas["Message"]["properties"]["id"]
    # JSON Schema's regular expressions (ECMA-262) have no \Z for the end of the string.
    identifier["pattern"] = identifier["pattern"].replace(r"\Z", "$")
    return schemas
