"""The library websockets with its `broadcast`, which frames an event once, on uvloop."""

import json
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from bench.peers.messages import ack, encode, event

subscribers: dict[str, set[ServerConnection]] = {}


async def serve_client(client: ServerConnection) -> None:
    """Subscribe, publish and acknowledge until the connection is closed."""
    try:
        async for text in client:
            command = json.loads(text)
            if command["type"] == "subscribe":
                subscribers.setdefault(command["topic"], set()).add(client)
            elif command["type"] == "publish":
                others = subscribers.get(command["topic"], set()) - {client}
                broadcast(others, encode(event(command["topic"], command["message"])))
            await client.send(encode(ack(command)))
    except ConnectionClosed:
        pass
    finally:
        for topic in subscribers.values():
            topic.discard(client)


async def main() -> None:
    """Serve on the port given on the command line."""
    async with serve(
        serve_client, "127.0.0.1", int(sys.argv[1]), compression=None, ping_interval=None
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
