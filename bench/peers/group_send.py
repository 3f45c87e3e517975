"""A Channels consumer that publishes with `group_send`, as the tutorial of Channels does.

With ``BENCH_REDIS`` in the environment it uses the Pub/Sub layer of channels_redis, the faster of
its two, and the in-memory layer otherwise. Neither drops what a run keeps in flight.
"""

import os
import sys
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.routing import ProtocolTypeRouter
from channels_redis.pubsub import RedisPubSubChannelLayer

from bench.peers.django_rest import http_application
from bench.peers.messages import ack, encode, event

CAPACITY = 1_000_000
CONNECTIONS = 8_000
"""The most connections to Redis; each publication in progress takes one."""

redis = os.environ.get("BENCH_REDIS")
layer = (
    RedisPubSubChannelLayer([{"address": redis, "max_connections": CONNECTIONS}])
    if redis
    else InMemoryChannelLayer(capacity=CAPACITY)
)
channel_layers.set("default", layer)


class GroupConsumer(AsyncJsonWebsocketConsumer):
    """One connection: a topic is a group."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        """Subscribe or publish, and acknowledge."""
        if content["type"] == "subscribe":
            self.topics = {*getattr(self, "topics", ()), content["topic"]}
            await self.channel_layer.group_add(content["topic"], self.channel_name)
        elif content["type"] == "publish":
            await publish(content["topic"], content["message"], self.channel_name)
        await self.send(text_data=encode(ack(content)))

    async def chat_event(self, message: dict[str, str]) -> None:
        """Pass an event of the group on to the client."""
        if message["publisher"] != self.channel_name:
            await self.send(text_data=message["text"])

    async def disconnect(self, code: int) -> None:
        """Leave every topic."""
        for topic in getattr(self, "topics", ()):
            await self.channel_layer.group_discard(topic, self.channel_name)


async def publish(topic: str, message: Any, publisher: str = "") -> None:
    """Send a message to the group, encoded once."""
    text = encode(event(topic, message))
    await layer.group_send(topic, {"type": "chat.event", "text": text, "publisher": publisher})


async def publish_over_rest(topic: str, message: Any) -> int:
    """Publish without a publisher; the layer does not tell the number of subscribers."""
    await publish(topic, message)
    return 0


application = ProtocolTypeRouter(
    {
        "http": http_application(publish_over_rest, sys.modules[__name__]),
        "websocket": GroupConsumer.as_asgi(),
    }
)
