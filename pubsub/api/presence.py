"""The endpoint that shows who is subscribed to a topic."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from pubsub.api.access import identify
from pubsub.api.requests import get_broker, get_cluster, get_turns
from pubsub.api.schemas import ErrorBody, Presence
from pubsub.protocol.replies import encode_presence
from pubsub.responses import json_response

router = Router(tags=["Topics"])


@router.get(
    "/topics/{name}/presence",
    response={200: Presence, (400, 401, 403, 404): ErrorBody},
    summary="Show who is subscribed",
)
async def get_presence(request: HttpRequest, name: str) -> Any:
    """Show who is subscribed to a topic: users, and clients without a user."""
    asker = await identify(request, "subscribe")
    await asker.check(name)
    broker, cluster = get_broker(request), get_cluster()
    await get_turns().wait()
    notice = broker.presence(name) if cluster is None else await cluster.presence_of(name)
    return json_response(encode_presence(notice).payload)
