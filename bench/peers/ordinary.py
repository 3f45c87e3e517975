"""An ordinary Channels consumer with a bounded queue: what most projects would write.

It does one thing better than most: an event is encoded once for all subscribers.
"""

import asyncio
import sys
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter

from bench.peers.django_rest import http_application
from bench.peers.messages import ack, encode, event

subscribers: dict[str, set["OrdinaryConsumer"]] = {}


class OrdinaryConsumer(AsyncJsonWebsocketConsumer):
    """One connection: `receive_json` fills the queues of others, and a task empties its own."""

    async def connect(self) -> None:
        """Accept, and start to send."""
        await self.accept()
        self.queue: asyncio.Queue[str] = asyncio.Queue(256)
        self.sender = asyncio.create_task(self.send_queued())

    async def send_queued(self) -> None:
        """Send what is queued, message by message."""
        while True:
            await self.send(text_data=await self.queue.get())

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Subscribe or publish, and acknowledge."""
        if content["type"] == "subscribe":
            subscribers.setdefault(content["topic"], set()).add(self)
        elif content["type"] == "publish":
            publish(content["topic"], content["message"], self)
        await self.queue.put(encode(ack(content)))

    async def disconnect(self, code: int) -> None:
        """Leave every topic."""
        self.sender.cancel()
        for topic in subscribers.values():
            topic.discard(self)


def publish(topic: str, message: Any, publisher: OrdinaryConsumer | None = None) -> int:
    """Queue a message for all subscribers except its publisher; return their number."""
    text = encode(event(topic, message))
    others = subscribers.get(topic, set()) - {publisher}
    for subscriber in others:
        if not subscriber.queue.full():
            subscriber.queue.put_nowait(text)
    return len(others)


async def publish_over_rest(topic: str, message: Any) -> int:
    """Publish without a publisher."""
    return publish(topic, message)


application = ProtocolTypeRouter(
    {
        "http": http_application(publish_over_rest, sys.modules[__name__]),
        "websocket": OrdinaryConsumer.as_asgi(),
    }
)
