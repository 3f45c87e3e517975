"""An ordinary Channels consumer with a bounded queue: what most projects would write.

It speaks just enough of the chat room's protocol for the benchmark: subscribe and publish.
"""

import asyncio
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from django.conf import settings

settings.configure(SECRET_KEY="bench", ALLOWED_HOSTS=["*"])

subscribers: dict[str, set["OrdinaryConsumer"]] = {}


class OrdinaryConsumer(AsyncJsonWebsocketConsumer):
    """One connection: `receive_json` puts into queues, one task of its own empties this one."""

    async def connect(self) -> None:
        """Accept, and start to send."""
        await self.accept()
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(256)
        self.sender = asyncio.ensure_future(self.send_queued())

    async def send_queued(self) -> None:
        """Send what is queued, message by message."""
        while True:
            await self.send_json(await self.queue.get())

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Subscribe or publish."""
        if content["type"] == "subscribe":
            subscribers.setdefault(content["topic"], set()).add(self)
            await self.send_json({"type": "ack", "topic": content["topic"], "status": "ok"})
            return
        event = {"type": "event", "topic": content["topic"], "message": content["message"]}
        for subscriber in subscribers[content["topic"]]:
            if subscriber is not self and not subscriber.queue.full():
                subscriber.queue.put_nowait(event)

    async def disconnect(self, code: int) -> None:
        """Leave every topic."""
        self.sender.cancel()
        for topic in subscribers.values():
            topic.discard(self)


application = ProtocolTypeRouter({"websocket": OrdinaryConsumer.as_asgi()})
