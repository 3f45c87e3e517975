"""The endpoints that list the connected clients and disconnect them."""

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from ninja import Router

from pubsub import fairness
from pubsub.api.access import check_operator
from pubsub.api.pages import PARAMETERS, Document, Page, collect, count, cut, read_page
from pubsub.api.requests import SCOPE, about, get_broker, get_inquiry, get_turns
from pubsub.api.schemas import ClientList, Disconnected, ErrorBody
from pubsub.cluster.figures.figures import Inquiry
from pubsub.cluster.figures.rows import ClientRow
from pubsub.core.counters import ClientStatistics
from pubsub.protocol.codes import Close
from pubsub.protocol.errors import NotFound, Unavailable
from pubsub.registry import Connection
from pubsub.runtime import get_runtime
from pubsub.turns import Turns

router = Router(tags=["Clients"])

_LISTED_AT_A_TIME = fairness.LISTING_SLICE // fairness.LISTED_ROW


@router.get(
    "/clients",
    response={200: ClientList, (400, 401, 403): ErrorBody},
    openapi_extra={"parameters": [*PARAMETERS, SCOPE]},
    summary="List the clients",
)
async def list_clients(request: HttpRequest) -> Any:
    """List the connected clients, in the order in which they connected."""
    check_operator(request)
    page = read_page(request, int)
    broker, turns = get_broker(request), get_turns()
    inquiry = get_inquiry(request)
    document = Document()
    await turns.wait()
    if inquiry is not None:
        return await _list_all(document, page, turns, inquiry)
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


async def _list_all(
    document: Document, page: Page, turns: Turns, inquiry: Inquiry
) -> HttpResponseBase:
    """List the clients of all processes."""
    clients = await inquiry.clients(prefix=page.prefix, after=page.after_client, limit=page.limit)
    rows: list[ClientRow] = clients.rows
    document.open("clients", b"[")
    for start in range(0, len(rows), _LISTED_AT_A_TIME):
        document.add([*map(_row_of_room, rows[start : start + _LISTED_AT_A_TIME])])
        await turns.wait()
    document.close(b"]")
    if not clients.is_last:
        document.add(cut(rows[-1].joined, clients.total))
    document.add(about(inquiry))
    return document.response()


def _row_of_room(client: ClientRow) -> dict[str, Any]:
    return {
        "client_id": client.id,
        "user": client.user,
        "connected_sec": client.connected_sec,
        "topics": client.topics,
        "queued": client.queued,
        "dropped": client.dropped,
    }


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
    response={200: Disconnected, (400, 401, 403, 404, 503): ErrorBody},
    exclude_none=True,
    openapi_extra={"parameters": [SCOPE]},
    summary="Disconnect a client",
)
async def disconnect_client(request: HttpRequest, client_id: str) -> Any:
    """Close a client's connection with 3503, which asks it not to reconnect."""
    check_operator(request)
    get_broker(request)
    inquiry = get_inquiry(request)
    missing = "no client with this id is connected"
    if inquiry is not None:
        return _disconnected(await inquiry.disconnect(client_id=client_id), missing, inquiry)
    entry = get_runtime().registry.of_client(client_id)
    if entry is None:
        raise NotFound(missing)
    return _disconnect([entry.connection])


@router.delete(
    "/users/{path:user}",  # a user may have slashes in its name
    response={200: Disconnected, (400, 401, 403, 404, 503): ErrorBody},
    exclude_none=True,
    openapi_extra={"parameters": [SCOPE]},
    summary="Disconnect a user",
)
async def disconnect_user(request: HttpRequest, user: str) -> Any:
    """Close all connections of a user with 3503, which asks the clients not to reconnect.

    The user's tokens stay valid until they expire.
    """
    check_operator(request)
    get_broker(request)
    inquiry = get_inquiry(request)
    missing = "no client of this user is connected"
    if inquiry is not None:
        return _disconnected(await inquiry.disconnect(user=user), missing, inquiry)
    connections = get_runtime().registry.of_user(user)
    if not connections:
        raise NotFound(missing)
    return _disconnect(connections)


def _disconnect(connections: Sequence[Connection]) -> dict[str, Any]:
    for connection in connections:
        connection.close(Close.FORCE_DISCONNECT)
    return {"status": "disconnected", "clients": len(connections)}


def _disconnected(number: int, missing: str, inquiry: Inquiry) -> dict[str, Any]:
    """Return the answer to a request about all processes.

    Raises:
        NotFound: There was no such client in any of them.
        Unavailable: There was none, but not all of them have answered.
    """
    if number:
        return {"status": "disconnected", "clients": number, **about(inquiry)}
    if inquiry.is_complete:
        raise NotFound(missing)
    raise Unavailable("not all processes have answered; try again")
