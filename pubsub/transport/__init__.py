"""How bytes reach a client: on Daphne with flow control, and on any other ASGI server.

`accept` is the only way in. It decides which transport serves a connection.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pubsub.core.configuration import Configuration
from pubsub.transport import daphne
from pubsub.transport.asgi import ASGITransport
from pubsub.transport.base import Receive, Send, Transport
from pubsub.transport.timeouts import Timeouts

__all__ = ["accept", "on_stop"]


async def accept(
    scope: Mapping[str, Any],
    receive: Receive,
    send: Send,
    *,
    subprotocol: str | None,
    config: Configuration,
    timeouts: Timeouts,
) -> Transport:
    """Accept a WebSocket after its ``websocket.connect`` event, and return its transport."""
    taking_over = daphne.prepare(scope, send, compression=config.compression)
    await send({"type": "websocket.accept", "subprotocol": subprotocol})
    transport = taking_over.finish(config, timeouts) if taking_over else None
    return transport or ASGITransport(receive, send, timeouts)


def on_stop(start_drain: Callable[[], Awaitable[None]]) -> None:
    """Have the server call ``start_drain`` when it stops, and await the result.

    Only Daphne does so. Other servers close their connections themselves.
    """
    if daphne.is_running():
        daphne.before_stop(start_drain)
