"""The endpoints that list the connected clients and disconnect them."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from ninja import Router

from pubsub.api.access import check_operator
from pubsub.api.pages import PARAMETERS, Document, collect, count, cut, read_page
from pubsub.api.requests import get_broker, get_turns
from pubsub.api.schemas import ClientList, Disconnected, ErrorBody
from pubsub.core.counters import ClientStatistics
from pubsub.protocol.codes import Close
from pubsub.protocol.errors import NotFound
from pubsub.registry import Connection
from pubsub.runtime import get_runtime

router = Router(tags=["Clients"])


@router.get(
    "/clients",
    response={200: ClientList, (400, 401, 403): ErrorBody},
    openapi_extra={"parameters": PARAMETERS},
    summary="List the clients",
)
async def list_clients(request: HttpRequest) -> Any:
    """List the connected clients, in the order in which they connected."""
    check_operator(request)
    page = read_page(request, int)
    broker, turns = get_broker(request), get_turns()
    document = Document()
    await turns.wait()
    document.open("clients", b"[")
    slices = broker.client_slices(prefix=page.prefix, after=page.after_client)
    last = await collect(
        turns, slices, page.limit, lambda clients: document.add([*map(_row, clients)])
    )
    document.close(b"]")
    if last is not None:
        total = broker.client_count
        if page.prefix:
            total = await count(turns, broker.client_slices(prefix=page.prefix))
        document.add(cut(last.joined, total))
    return document.response()


def _row(client: ClientStatistics) -> dict[str, Any]:
    entry = get_runtime().registry.of_client(client.id)
    return {
        "client_id": client.id,
        "user": entry.user if entry else None,
        "connected_sec": int(entry.connected) if entry else 0,
        "topics": len(client.topics),
        "queued": client.queued,
        "dropped": client.dropped,
    }


@router.delete(
    "/clients/{client_id}",
    response={200: Disconnected, (401, 403, 404): ErrorBody},
    summary="Disconnect a client",
)
async def disconnect_client(request: HttpRequest, client_id: str) -> Any:
    """Close a client's connection with 3503, which asks it not to reconnect."""
    check_operator(request)
    get_broker(request)
    entry = get_runtime().registry.of_client(client_id)
    if entry is None:
        raise NotFound("no client with this id is connected")
    return _disconnect([entry.connection])


@router.delete(
    "/users/{path:user}",  # a user may have slashes in its name
    response={200: Disconnected, (401, 403, 404): ErrorBody},
    summary="Disconnect a user",
)
async def disconnect_user(request: HttpRequest, user: str) -> Any:
    """Close all connections of a user with 3503, which asks the clients not to reconnect.

    The user's tokens stay valid until they expire.
    """
    check_operator(request)
    get_broker(request)
    connections = get_runtime().registry.of_user(user)
    if not connections:
        raise NotFound("no client of this user is connected")
    return _disconnect(connections)


def _disconnect(connections: Sequence[Connection]) -> dict[str, Any]:
    for connection in connections:
        connection.close(Close.FORCE_DISCONNECT)
    return {"status": "disconnected", "clients": len(connections)}
