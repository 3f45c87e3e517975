"""How bytes reach a client: on Daphne with flow control, and on any other ASGI server.

`accept` and `open_stream` are the only ways in. They decide which transport serves a connection.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from pubsub.core.configuration import Configuration
from pubsub.transport import daphne
from pubsub.transport.asgi import ASGITransport
from pubsub.transport.asgi_stream import ASGIStream
from pubsub.transport.base import Receive, Send, Transport
from pubsub.transport.sse import Bookmark
from pubsub.transport.timeouts import Timeouts
from pubsub.transport.traffic import Traffic

__all__ = ["accept", "on_stop", "open_stream"]


async def accept(
    scope: Mapping[str, Any],
    receive: Receive,
    send: Send,
    *,
    subprotocol: str | None,
    config: Configuration,
    timeouts: Timeouts,
    traffic: Traffic,
) -> Transport:
    """Accept a WebSocket after its ``websocket.connect`` event, and return its transport."""
    taking_over = daphne.prepare(scope, send, compression=config.compression)
    await send({"type": "websocket.accept", "subprotocol": subprotocol})
    transport = taking_over.finish(config, timeouts, traffic) if taking_over else None
    return transport or ASGITransport(receive, send, timeouts, traffic)


async def open_stream(
    scope: Mapping[str, Any],
    receive: Receive,
    send: Send,
    *,
    headers: Iterable[tuple[bytes, bytes]],
    bookmark: Bookmark,
    timeouts: Timeouts,
    traffic: Traffic,
) -> Transport:
    """Begin the response to a request for server-sent events, and return its transport.

    Raises:
        Unavailable: The process is short of file descriptors, and nothing is written yet.
    """
    taking_over = daphne.prepare_stream(scope, send)
    more_headers = taking_over.headers if taking_over else ()
    start = {"type": "http.response.start", "status": 200, "headers": [*headers, *more_headers]}
    await send(start)
    if taking_over:
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        stream = taking_over.finish(bookmark, timeouts, traffic)
        if stream is not None:
            return stream
    return ASGIStream(receive, send, bookmark, timeouts, traffic)


def on_stop(start_drain: Callable[[], Awaitable[None]]) -> None:
    """Have the server call ``start_drain`` when it stops, and await the result.

    Only Daphne does so. Other servers close their connections themselves.
    """
    if daphne.is_running():
        daphne.before_stop(start_drain)
