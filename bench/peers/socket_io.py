"""python-socketio on ASGI: a topic is a room, and `emit` encodes an event once for it.

The wire format is Socket.IO's: the chat room's messages are the data of its events, and its
acknowledgements carry theirs.
"""

from typing import Any

import socketio

from bench.peers.messages import ack, event

server = socketio.AsyncServer(
    async_mode="asgi", transports=["websocket"], ping_interval=3600, cors_allowed_origins="*"
)


@server.event
async def subscribe(client: str, command: dict[str, Any]) -> dict[str, Any]:
    """Enter the topic's room."""
    await server.enter_room(client, command["topic"])
    return ack(command)


@server.event
async def publish(client: str, command: dict[str, Any]) -> dict[str, Any]:
    """Send to everyone in the room except the publisher."""
    topic = command["topic"]
    await server.emit("event", event(topic, command["message"]), room=topic, skip_sid=client)
    return ack(command)


@server.event
async def ping(client: str, command: dict[str, Any]) -> dict[str, Any]:
    """Reply, and do nothing else."""
    return ack(command)


application = socketio.ASGIApp(server)
