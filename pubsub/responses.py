"""HTTP responses with JSON: every response of the chat room that is not a page."""

from collections.abc import Mapping
from typing import Any

import msgspec
from django.http import HttpResponse

from pubsub.protocol.codes import ErrorCode

HTTP_STATUSES = {
    ErrorCode.BAD_REQUEST: 400,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.LIMIT_EXCEEDED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.TOPIC_NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.TOPIC_EXISTS: 409,
    ErrorCode.MESSAGE_TOO_LARGE: 413,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: 415,
    ErrorCode.UPGRADE_REQUIRED: 426,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.INTERNAL: 500,
    ErrorCode.UNAVAILABLE: 503,
}
"""The HTTP status of each error code that a REST request can get."""


def json_response(body: Any, *, status: int = 200) -> HttpResponse:
    """Return a response with ``body`` as JSON; bytes must be JSON already."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return HttpResponse(content, content_type="application/json", status=status)


def with_members(encoded: bytes, members: Mapping[str, Any]) -> bytes:
    """Return an encoded JSON object, which has members, with some more at its end."""
    return encoded[:-1] + b"," + msgspec.json.encode(members)[1:] if members else encoded


def error_response(
    code: ErrorCode,
    message: str,
    *,
    status: int | None = None,
    beside: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """Return an error response, in the format that all errors share.

    Args:
        code: The error code, which determines the status.
        message: What went wrong and what to do about it.
        status: Overrides the status.
        beside: Additional fields next to ``error``.
    """
    body = {**(beside or {}), "error": {"code": code, "message": message}}
    return json_response(body, status=status or HTTP_STATUSES[code])
