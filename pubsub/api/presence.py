"""The endpoint that shows who is subscribed to a topic."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from pubsub.api.access import identify
from pubsub.api.requests import SCOPE, about, get_broker, get_cluster, get_inquiry, get_turns
from pubsub.api.schemas import ErrorBody, Presence
from pubsub.protocol.replies import encode_presence
from pubsub.responses import json_response, with_members

router = Router(tags=["Topics"])


@router.get(
    "/topics/{name}/presence",
    response={200: Presence, (400, 401, 403, 404): ErrorBody},
    openapi_extra={"parameters": [SCOPE]},
    summary="Show who is subscribed",
)
async def get_presence(request: HttpRequest, name: str) -> Any:
    """Show who is subscribed to a topic: users, and clients without a user."""
    asker = await identify(request, "subscribe")
    await asker.check(name)
    broker, cluster, inquiry = get_broker(request), get_cluster(), get_inquiry(request)
    await get_turns().wait()
    if cluster is None or inquiry is None:
        notice = broker.presence(name, here=cluster is not None)
        return json_response(encode_presence(notice).payload)
    notice = await cluster.presence_of(name)
    await inquiry.totals()  # or it would not be known who answers
    return json_response(with_members(encode_presence(notice).payload, about(inquiry)))
