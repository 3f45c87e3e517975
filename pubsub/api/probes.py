"""The endpoints for an orchestrator's probes, which must stay cheap whatever the server holds."""

from typing import Any

from django.http import HttpRequest
from ninja import Router

from pubsub.api.schemas import Alive, NotReady
from pubsub.processes import WSGI_MESSAGE, is_wsgi
from pubsub.protocol.errors import Unavailable
from pubsub.responses import json_response
from pubsub.runtime import get_runtime

router = Router(tags=["Monitoring"])


@router.get("/livez", response=Alive, summary="Check that the event loop works")
async def livez(request: HttpRequest) -> Any:
    """Answer 200 as long as the event loop works; if this fails, restart the process."""
    return {"status": "ok"}


@router.get(
    "/readyz", response={200: Alive, 503: NotReady}, summary="Check that new clients are welcome"
)
async def readyz(request: HttpRequest) -> Any:
    """Answer 503 while the server is stopping, so that load balancers send no new clients."""
    if is_wsgi(request):
        raise Unavailable(WSGI_MESSAGE)
    readiness = get_runtime().readiness
    response = json_response({"status": readiness}, status=200 if readiness == "ok" else 503)
    # Or Django logs each probe as an error.
    response._has_been_logged = True  # type: ignore[attr-defined]  # noqa: SLF001
    return response
