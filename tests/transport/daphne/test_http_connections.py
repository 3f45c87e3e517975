"""All HTTP connections of a process: whose turn it is, and how they end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from twisted.internet.defer import Deferred

from pubsub.transport.daphne import http_connections
from pubsub.transport.daphne.http_connections import MAX_STARTING, HttpConnections
from tests.transport.daphne.http_support import (
    HANDSHAKE,
    LARGE,
    LIMITS,
    Connection,
    Site,
    get,
    post,
    running_site,
)

REFUSED = 200
"""Requests, more than there can be calls in each other."""


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What a test leaves when it ends."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request take as long as it does on a busy machine, unless a test sets less."""
    monkeypatch.setattr(http_connections, "STARTING_SECONDS", 60.0)


async def ask(stack: AsyncExitStack, site: Site, *requests: bytes) -> list[Connection]:
    """Send each of these requests on a connection of its own."""
    connections = [await stack.enter_async_context(site.connect()) for _ in requests]
    for connection, request in zip(connections, requests, strict=True):
        await connection.send(request)
    return connections


def asking(site: Site) -> int:
    """Return the number of connections with a request that is not answered yet."""
    return sum(bool(each.requests) for each in site.channels)


# --- Turns ---


async def test_more_requests_than_may_start() -> None:
    """The others are started when one is answered, at least in part."""
    async with running_site() as site, AsyncExitStack() as stack:
        await ask(stack, site, *[get("/wait")] * MAX_STARTING)
        await site.until(lambda: len(site.requests) == MAX_STARTING)
        late = await ask(stack, site, get("/a"), get("/b"))
        await site.until_read(MAX_STARTING + 2)
        await site.until(lambda: all(each.requests for each in site.channels))
        assert site.requests == ["/wait"] * MAX_STARTING
        site.may_answer.set()
        for connection in late:
            assert await connection.read_response() == (200, b"0")


async def test_handshake_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is answered when there is room, and no frame that came meanwhile is lost."""
    monkeypatch.setattr(http_connections, "MAX_STARTING", 1)
    frame = b"\x81\x82\0\0\0\0hi"
    async with running_site() as site, AsyncExitStack() as stack:
        first, late = await ask(stack, site, get("/wait"), HANDSHAKE)
        await site.until(lambda: asking(site) == 2)
        await late.send(frame[:3])
        await late.send(frame[3:])
        await site.until(lambda: b"".join(site.channels[-1]._dataBuffer) == frame)
        site.may_answer.set()
        assert await first.read_response() == (200, b"waited")
        assert (await late.read_head())[0] == 101
        await site.until(lambda: site.events == ["hi"])


class Waiting:
    """A request that notes when it is started."""

    channel = object()

    def __init__(self, name: str, started: list[str]) -> None:
        self.name = name
        self.started = started

    def is_upgrade(self) -> bool:
        """Return whether it is the handshake of a WebSocket."""
        return self.name.startswith("handshake")

    def start(self) -> None:
        """Note it."""
        self.started.append(self.name)


async def test_requests_and_handshakes_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of one kind are waiting, one of the other kind is soon started."""
    monkeypatch.setattr(http_connections, "MAX_STARTING", 1)
    started: list[str] = []
    connections = HttpConnections(LIMITS)
    names = ["first", *(f"handshake {number}" for number in range(3)), "a", "b", "c", "d"]
    requests = {name: Waiting(name, started) for name in names}
    for request in requests.values():
        connections.start(request)  # type: ignore[arg-type]
    for _ in names:
        connections.answered(requests[started[-1]])
    assert started[:5] in (
        ["first", "handshake 0", "a", "handshake 1", "b"],
        ["first", "a", "handshake 0", "b", "handshake 1"],
    )
    assert started[5:] in (["handshake 2", "c", "d"], ["c", "handshake 2", "d"])


async def test_accepted_handshake_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """A WebSocket keeps nobody waiting, however long it lasts."""
    monkeypatch.setattr(http_connections, "MAX_STARTING", 1)
    monkeypatch.setattr(http_connections, "STARTING_SECONDS", 3600)
    async with running_site() as site, AsyncExitStack() as stack:
        for websocket in await ask(stack, site, HANDSHAKE, HANDSHAKE):
            assert (await websocket.read_head())[0] == 101


async def test_request_that_has_begun_to_answer_makes_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It keeps nobody waiting, however long its response takes."""
    monkeypatch.setattr(http_connections, "MAX_STARTING", 1)
    async with running_site() as site, AsyncExitStack() as stack:
        started, other = await ask(stack, site, get("/start"), get("/a"))
        assert await other.read_response() == (200, b"0")
        site.may_answer.set()
        assert await started.read_response() == (200, b"12")


async def test_request_of_a_client_that_leaves_makes_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that left while it waited for its turn is passed over."""
    monkeypatch.setattr(http_connections, "MAX_STARTING", 1)
    async with running_site() as site, AsyncExitStack() as stack:
        first, second, third = await ask(stack, site, get("/wait"), get("/a"), get("/b"))
        await site.until(lambda: asking(site) == 3)
        second.reset()
        await site.until_read(2)
        first.reset()
        assert await third.read_response() == (200, b"0")
        assert site.requests == ["/wait", "/b"]
        assert caplog.records == []


async def test_request_that_takes_long_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for something, and does not keep the event loop busy."""
    monkeypatch.setattr(http_connections, "MAX_STARTING", 1)
    monkeypatch.setattr(http_connections, "CHECK_INTERVAL", 0.02)
    monkeypatch.setattr(http_connections, "STARTING_SECONDS", 0.1)
    async with running_site() as site, AsyncExitStack() as stack:
        _, other = await ask(stack, site, get("/wait"), get("/a"))
        assert await other.read_response() == (200, b"0")


async def test_requests_that_are_refused_when_they_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are answered while they are started, without a limit to how many follow each other."""
    monkeypatch.setattr(http_connections, "MAX_STARTING", 1)
    async with running_site() as site, AsyncExitStack() as stack:
        refused = get("/a", "X: y\x0bz")
        connections = await ask(stack, site, get("/wait"), *[refused] * REFUSED, get("/b"))
        await site.until(
            lambda: len([each for each in site.channels if each.requests]) == REFUSED + 2
        )
        site.may_answer.set()
        answers = [(await each.read_response())[0] for each in connections]
        assert answers == [200, *[400] * REFUSED, 200]


# --- The end ---


async def test_stop_without_connections() -> None:
    """There is nothing to wait for."""
    async with running_site() as site:
        await site.stop()


async def test_stop_between_two_requests(stack: AsyncExitStack) -> None:
    """The connection is closed."""
    async with running_site() as site:
        (idle,) = await ask(stack, site, get("/a"))
        assert await idle.read_response() == (200, b"0")
        await site.stop()
        assert await idle.read_to_the_end() == b""


async def test_stop_while_a_request_is_read(stack: AsyncExitStack) -> None:
    """It is dropped."""
    async with running_site() as site:
        connections = await ask(stack, site, b"", get("/a")[:10], post("/a", "Content-Length: 5"))
        await site.until_read(3)
        await site.stop()
        assert [await each.read_to_the_end() for each in connections] == [b""] * 3
        assert site.requests == []


async def test_stop_lets_requests_at_work_finish(stack: AsyncExitStack) -> None:
    """Their responses say that the connection is closed; requests behind them are dropped."""
    async with running_site() as site:
        waiting, started = await ask(stack, site, get("/wait") + get("/a"), get("/start"))
        assert (await started.read_head())[0] == 200
        reactor = site.server.reactor
        reactor.addSystemEventTrigger("before", "shutdown", reactor.callLater, 0, answer, site)
        await site.stop()
        status, headers = await waiting.read_head()
        assert (status, headers["connection"]) == (200, "close")
        assert await waiting.read_to_the_end() == b"waited"
        assert await started.read_to_the_end() == b"12"
        assert site.requests == ["/wait", "/start"]


def answer(site: Site) -> None:
    """Let the requests of a site finish once it has been told to stop."""
    site.server.reactor.callLater(0, site.may_answer.set)


async def test_stop_ends_what_does_not_finish(
    stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told that the client has gone, and may still do something; then it has to end."""
    monkeypatch.setattr(http_connections, "FINISH_TIMEOUT", 0.05)
    monkeypatch.setattr(http_connections, "END_TIMEOUT", 0.05)
    async with running_site() as site:
        await ask(stack, site, get("/wait"), get("/wait/for-ever"))
        await site.until(lambda: len(site.requests) == 2)
        await site.stop()
        assert site.events[0] == "http.disconnect"


async def test_stop_cancels_what_is_no_request(stack: AsyncExitStack) -> None:
    """WebSockets, and the application of a client that has left, as Daphne does."""
    async with running_site() as site:
        websocket, left = await ask(stack, site, HANDSHAKE, get("/ignore"))
        assert (await websocket.read_head())[0] == 101
        await site.until(lambda: site.requests)
        left.reset()
        await site.until(lambda: not site.channels)
        await site.stop()
        assert site.events == ["/ignore was cancelled"]


async def test_stop_drops_requests_that_wait_for_their_turn(
    stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None is started any more."""
    monkeypatch.setattr(http_connections, "MAX_STARTING", 1)
    monkeypatch.setattr(http_connections, "FINISH_TIMEOUT", 0.05)
    async with running_site() as site:
        _, late = await ask(stack, site, get("/wait"), get("/a"))
        await site.until(lambda: asking(site) == 2)
        await site.stop()
        assert await late.read_to_the_end() == b""
        assert site.requests == ["/wait"]


async def test_stop_with_a_response_that_is_not_read(
    stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client has a moment to read the rest, and the request behind it is dropped."""
    monkeypatch.setattr(http_connections, "FLUSH_TIMEOUT", 0.05)
    async with running_site() as site:
        (stalled,) = await ask(stack, site, get("/large") + get("/a"))
        stalled.writer.transport.pause_reading()
        await site.until_stalled()
        await site.stop()
        stalled.writer.transport.resume_reading()
        assert len(await stalled.read_to_the_end()) < LARGE
        assert site.requests == ["/large"]


async def test_stop_with_a_response_that_is_read(
    stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives in full, and the server waits no longer than for that."""
    for timeout in ("FINISH_TIMEOUT", "END_TIMEOUT", "FLUSH_TIMEOUT"):
        monkeypatch.setattr(http_connections, timeout, 60.0)
    async with running_site() as site:
        (slow,) = await ask(stack, site, get("/large"))
        slow.writer.transport.pause_reading()
        await site.until_stalled()
        reactor = site.server.reactor
        reactor.addSystemEventTrigger(
            "before", "shutdown", reactor.callLater, 0, slow.writer.transport.resume_reading
        )
        stopping = asyncio.ensure_future(site.stop())
        assert await slow.read_response() == (200, bytes(LARGE))
        await stopping


async def test_request_that_arrives_while_the_server_stops(stack: AsyncExitStack) -> None:
    """It is refused; the handshake of a WebSocket is not, so that it can be told to come back."""
    async with running_site() as site:
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        site.server.reactor.addSystemEventTrigger(
            "before", "shutdown", lambda: Deferred.fromFuture(held)
        )
        (idle,) = await ask(stack, site, b"")
        await site.until_read()
        stopping = asyncio.ensure_future(site.stop())
        assert await idle.read_to_the_end() == b""
        (busy,) = await ask(stack, site, get("/a"))
        assert await busy.read_error() == (503, "UNAVAILABLE", "the server is stopping")
        (websocket,) = await ask(stack, site, HANDSHAKE)
        assert (await websocket.read_head())[0] == 101
        held.set_result(None)
        await stopping
        assert site.requests == []
