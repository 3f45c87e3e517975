"""The endpoints that list the connected clients and disconnect them."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.http import HttpRequest
from ninja import Router

from pubsub.api.access import check_operator
from pubsub.api.pages import PARAMETERS, Page, cut, read_page
from pubsub.api.requests import get_broker
from pubsub.api.schemas import ClientList, Disconnected, ErrorBody
from pubsub.protocol.codes import Close
from pubsub.protocol.errors import NotFound
from pubsub.registry import Connection, Entry, Registry
from pubsub.runtime import get_runtime

router = Router(tags=["Clients"])


@router.get(
    "/clients",
    response={200: ClientList, (400, 401, 403): ErrorBody},
    exclude_unset=True,
    openapi_extra={"parameters": PARAMETERS},
    summary="List the clients",
)
async def list_clients(request: HttpRequest) -> Any:
    """List the connected clients, in the order in which they connected."""
    check_operator(request)
    get_broker(request)
    page = read_page(request, int)
    registry = get_runtime().registry
    found = list(islice(_matching(registry, page, page.after_client), page.limit + 1))
    body: dict[str, Any] = {"clients": [_row(entry) for entry in found[: page.limit]]}
    if len(found) > page.limit:
        total = sum(1 for _ in _matching(registry, page, 0)) if page.prefix else len(registry)
        body |= cut(found[page.limit - 1].number, total)
    return body


def _matching(registry: Registry, page: Page, after: int) -> Iterator[Entry]:
    for entry in registry.after(after):
        if entry.connection.client.id.startswith(page.prefix):
            yield entry


def _row(entry: Entry) -> dict[str, Any]:
    client = entry.connection.client
    return {
        "client_id": client.id,
        "user": entry.user,
        "connected_sec": int(entry.connected),
        "topics": len(client.topics),
        "queued": client.outbox.qsize(),
        "dropped": client.outbox.dropped,
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
    connection = get_runtime().registry.of_client(client_id)
    if connection is None:
        raise NotFound("no client with this id is connected")
    return _disconnect([connection])


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
