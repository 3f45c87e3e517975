"""One HTTP connection on Daphne: what is read, refused, held back and cut off."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from pubsub.transport.daphne import http_channel
from pubsub.transport.daphne.http_channel import MAX_PIPELINED
from tests.transport.daphne.http_support import (
    HANDSHAKE,
    LARGE,
    LIMITS,
    chunk,
    get,
    post,
    running_site,
)

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

LIMIT = LIMITS.max_handshake_body
TOO_LARGE = (413, "MESSAGE_TOO_LARGE", f"request body exceeds {LIMIT} bytes")
MALFORMED = (400, "BAD_REQUEST", "malformed request")


# --- Requests, one after the other ---


async def test_requests_of_one_connection() -> None:
    """They are answered in their order, whether they come together or byte by byte."""
    async with running_site() as site, site.connect() as connection:
        await connection.send(get("/a") + post("/b", "Content-Length: 3") + b"xyz" + get("/c"))
        assert [await connection.read_response() for _ in range(3)] == [
            (200, b"0"),
            (200, b"3"),
            (200, b"0"),
        ]
        for byte in post("/d", "Transfer-Encoding: chunked") + chunk(b"xyz") + chunk(b""):
            await connection.send(bytes([byte]))
        assert await connection.read_response() == (200, b"3")
        assert site.requests == ["/a", "/b", "/c", "/d"]


async def test_client_that_wants_no_further_response() -> None:
    """The connection is closed when that one is read."""
    async with running_site() as site, site.connect() as connection:
        await connection.send(get("/large", "Connection: close"))
        assert len(await connection.read_to_the_end()) > LARGE


async def test_requests_behind_the_one_at_work() -> None:
    """A little of them is kept; then the socket is not read until they have their turn."""
    async with running_site() as site, site.connect() as connection:
        await connection.send(get("/wait"))
        await site.until(lambda: site.requests)
        behind = get("/a") * 100
        assert len(behind) < MAX_PIPELINED
        await connection.send(behind)
        channel = await site.until_read()
        await site.until(lambda: channel._dataBuffer)
        assert site.channels
        await connection.send(get("/b") * 1000)
        await site.until_not_read()
        assert site.requests == ["/wait"]
        site.may_answer.set()
        assert await connection.read_response() == (200, b"waited")
        for _ in range(1100):
            assert await connection.read_response() == (200, b"0")
        assert site.requests == ["/wait", *["/a"] * 100, *["/b"] * 1000]


@pytest.mark.parametrize("path", ["/large", "/large/piecewise", "/large/at-once"])
@pytest.mark.parametrize("encrypted", [False, True])
async def test_response_that_is_not_read(path: str, encrypted: bool, tls: dict[str, Any]) -> None:
    """The application waits for the client, and so does the request behind it."""
    async with (
        running_site(**(tls if encrypted else {})) as site,
        site.connect() as connection,
    ):
        connection.writer.transport.pause_reading()
        await connection.send(get(path) + get("/behind"))
        await site.until_stalled()
        assert site.requests == [path]
        assert site.pieces < 64
        connection.writer.transport.resume_reading()
        assert await connection.read_response() == (200, bytes(LARGE))
        assert await connection.read_response() == (200, b"0")


async def test_client_that_leaves_while_its_response_waits() -> None:
    """The application goes on, and what it sends is discarded."""
    async with running_site() as site:
        async with site.connect() as connection:
            connection.writer.transport.pause_reading()
            await connection.send(get("/large/piecewise"))
            await site.until_stalled()
        await site.until(lambda: site.pieces == 64)


async def test_client_that_leaves_before_it_is_answered() -> None:
    """The application hears of it, or writes its response for nobody."""
    async with running_site() as site:
        for path in ("/wait", "/ignore"):
            async with site.connect() as connection:
                await connection.send(get(path))
                await site.until(lambda path=path: path in site.requests)
        await site.until(lambda: site.events == ["http.disconnect"])
        site.may_answer.set()
        await site.until(lambda: site.events == ["http.disconnect", "ignored"])


# --- Bodies ---


async def test_body_of_exactly_the_limit() -> None:
    """It is read, whether its length is declared or not."""
    async with running_site() as site, site.connect() as connection:
        body = bytes(LIMIT)
        await connection.send(post("/a", f"Content-Length: {LIMIT}") + body)
        assert await connection.read_response() == (200, b"%d" % LIMIT)
        await connection.send(post("/a", "Transfer-Encoding: chunked"))
        await connection.send(chunk(body[:10]) + chunk(body[10:]) + chunk(b""))
        assert await connection.read_response() == (200, b"%d" % LIMIT)


@pytest.mark.parametrize("encrypted", [False, True])
async def test_declared_length_above_the_limit(encrypted: bool, tls: dict[str, Any]) -> None:
    """It is refused before the body is sent; what is sent all the same is discarded."""
    async with (
        running_site(**(tls if encrypted else {})) as site,
        site.connect() as connection,
    ):
        await connection.send(post("/a", f"Content-Length: {LIMIT + 1}"))
        channel = await site.until_read()
        await site.until(lambda: channel._refused)
        if not encrypted:
            await connection.send(bytes(LIMIT + 1) + get("/b"))
        assert await connection.read_error() == TOO_LARGE
        assert site.requests == []


async def test_client_that_asks_whether_to_send_the_body() -> None:
    """It is told to go on only if the body is within the limit."""
    async with running_site() as site:
        for length, answer in ((10, (100, b"")), (LIMIT + 1, None)):
            async with site.connect() as connection:
                await connection.send(
                    post("/a", f"Content-Length: {length}", "Expect: 100-continue")
                )
                if answer is None:
                    assert await connection.read_error() == TOO_LARGE
                else:
                    assert await connection.read_response() == answer
                    await connection.send(bytes(length))
                    assert await connection.read_response() == (200, b"10")


@pytest.mark.parametrize("size", [1, 100, LIMIT + 1])
async def test_body_that_becomes_too_large(size: int) -> None:
    """It is refused once, with all of it in one packet, and its request is not carried out."""
    async with running_site() as site, site.connect() as connection:
        pieces = chunk(bytes(size)) * (LIMIT // size + 10)
        await connection.send(post("/a", "Transfer-Encoding: chunked") + pieces + chunk(b""))
        assert await connection.read_error() == TOO_LARGE
        assert site.requests == []


@pytest.mark.parametrize("head", ["Content-Length: 2000", "Transfer-Encoding: chunked"])
async def test_paths_without_a_limit(head: str) -> None:
    """Other views of a site take uploads of any size."""
    body = bytes(2000)
    async with running_site() as site, site.connect() as connection:
        await connection.send(post("/free?a=b", head))
        await connection.send(body if "Length" in head else chunk(body) + chunk(b""))
        assert await connection.read_response() == (200, b"2000")


@pytest.mark.parametrize(
    ("path", "header"), [("/%73ite/free", "X: y"), ("/%73/free", "Daphne-Root-Path: /%73")]
)
async def test_root_of_a_site(path: str, header: str) -> None:
    """It is no part of the path, whether it is given by option or by header."""
    async with running_site(root_path="/site") as site, site.connect() as connection:
        await connection.send(post(path, "Content-Length: 2000", header) + bytes(2000))
        assert await connection.read_response() == (200, b"2000")
        await connection.send(post("/free", "Content-Length: 2000", "Daphne-Root-Path: /free"))
        assert await connection.read_error() == TOO_LARGE


async def test_handshake_with_a_body() -> None:
    """It is limited on every path."""
    async with running_site() as site, site.connect() as connection:
        await connection.send(get("/free", "Upgrade: websocket", "Content-Length: 2000"))
        assert await connection.read_error() == TOO_LARGE


# --- What Twisted and Daphne refuse ---


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
        b"GET /" + b"x" * 20_000,
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
    ],
)
async def test_malformed_request(request_: bytes) -> None:
    """It is answered in JSON, and closes the connection."""
    async with running_site() as site, site.connect() as connection:
        await connection.send(request_)
        assert await connection.read_error() == MALFORMED
        assert site.requests == []


async def test_request_that_daphne_refuses() -> None:
    """The error is JSON, and the connection stays."""
    async with running_site() as site, site.connect() as connection:
        await connection.send(get("/a", "X: y\x0bz"))
        assert await connection.read_response() == (
            400,
            b'{"error":{"code":"BAD_REQUEST","message":"invalid header value"}}',
        )
        await connection.send(get("/b"))
        assert await connection.read_response() == (200, b"0")


async def test_application_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """The client learns that it did, but nothing else."""
    async with running_site() as site, site.connect() as connection:
        await connection.send(get("/fail"))
        await site.until(lambda: site.requests)
        await asyncio.sleep(0)
        site.server.server.application_checker()
        assert await connection.read_response() == (
            500,
            b'{"error":{"code":"INTERNAL","message":"internal server error"}}',
        )
        assert "the application fails" in caplog.text


# --- Upgrades ---


async def test_upgrade_that_daphne_refuses() -> None:
    """It stays an HTTP connection."""
    async with running_site() as site, site.connect() as connection:
        await connection.send(get("/ws", "Upgrade: websocket", "X: y\x0bz"))
        status, _ = await connection.read_response()
        assert status == 400
        await connection.send(get("/b"))
        assert await connection.read_response() == (200, b"0")


async def test_upgrade() -> None:
    """The time limits of HTTP no longer apply to the connection."""
    async with running_site(limits={"request_timeout": 0.2}) as site, AsyncExitStack() as stack:
        websocket = await stack.enter_async_context(site.connect())
        await websocket.send(HANDSHAKE[:-2])
        channel = await site.until_read()
        await websocket.send(HANDSHAKE[-2:])
        assert (await websocket.read_head())[0] == 101
        assert channel not in channel.connections._channels
        later = await stack.enter_async_context(site.connect())
        assert await later.read_to_the_end() == b""
        assert not websocket.reader.at_eof()


# --- Time limits ---


@pytest.mark.parametrize(
    "incomplete",
    [
        get("/a")[:5],
        get("/a")[:-2],
        HANDSHAKE[:-2],
        post("/a", "Content-Length: 10") + b"x",
        post("/a", "Transfer-Encoding: chunked") + b"1\r\nx\r\n",
    ],
)
async def test_request_that_is_never_complete(incomplete: bytes) -> None:
    """It is answered by 408, also if it is not the first one of its connection."""
    async with running_site(limits={"request_timeout": 0.2}) as site:
        for before in (b"", get("/before")):
            async with site.connect() as connection:
                await connection.send(before + incomplete)
                if before:
                    assert await connection.read_response() == (200, b"0")
                assert await connection.read_error() == (
                    408,
                    "BAD_REQUEST",
                    "the request was not complete within 0.2 seconds",
                )


async def test_connection_without_a_request() -> None:
    """It is closed without an answer."""
    async with running_site(limits={"request_timeout": 0.1}) as site, site.connect() as connection:
        assert await connection.read_to_the_end() == b""


async def test_connection_between_two_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept for longer, but not for ever; a request at work may take its time."""
    monkeypatch.setattr(http_channel, "KEEP_ALIVE_TIMEOUT", 1.2)
    async with running_site(limits={"request_timeout": 0.3}) as site, AsyncExitStack() as stack:
        at_work = await stack.enter_async_context(site.connect())
        await at_work.send(get("/wait"))
        kept = await stack.enter_async_context(site.connect())
        await kept.send(get("/a"))
        assert await kept.read_response() == (200, b"0")
        later = await stack.enter_async_context(site.connect())
        assert await later.read_to_the_end() == b""
        assert not kept.reader.at_eof()
        assert await kept.read_to_the_end() == b""
        site.may_answer.set()
        assert await at_work.read_response() == (200, b"waited")


async def test_refused_request_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read and discarded for a while; then the connection is reset."""
    monkeypatch.setattr(http_channel, "LINGER_TIMEOUT", 0.1)
    limits = {"request_timeout": 0.2}
    async with running_site(limits=limits) as site, site.connect() as connection:
        await connection.send(post("/a", "Content-Length: 2000"))
        assert await connection.read_error() == TOO_LARGE
        await site.until_not_read()
        with pytest.raises(ConnectionError):
            while True:
                await connection.send(bytes(1000))
                await connection.writer.drain()


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("headers", [[], ["Connection: close"]])
async def test_client_that_never_reads(
    headers: list[str], encrypted: bool, tls: dict[str, Any]
) -> None:
    """It is cut off, whether its response is at work or written."""
    limits = {"request_timeout": 0.1, "write_timeout": 0.2}
    async with (
        running_site(limits=limits, **(tls if encrypted else {})) as site,
        site.connect() as connection,
    ):
        connection.writer.transport.pause_reading()
        await connection.send(get("/large", *headers))
        await site.until(lambda: site.requests)
        await site.until_cut_off()
        connection.writer.transport.resume_reading()
        assert len(await connection.read_to_the_end()) < LARGE


async def test_client_that_reads_slowly() -> None:
    """It gets everything, however long it takes, as long as it reads on."""
    limits = {"request_timeout": 0.1, "write_timeout": 0.3}
    async with running_site(limits=limits) as site, site.connect() as connection:
        await connection.send(get("/large"))
        await connection.read_head()
        rest = LARGE
        while rest:
            rest -= len(await connection.reader.read(1 << 20))
            await asyncio.sleep(0.001)  # not for anything to happen: it is this client that is slow
        await connection.send(get("/a"))
        assert await connection.read_response() == (200, b"0")


async def test_client_that_reads_only_what_the_kernel_has() -> None:
    """Bytes that leave the kernel count, although nothing leaves Twisted's buffer for long."""
    limits = {"request_timeout": 0.1, "write_timeout": 0.3}
    async with running_site(limits=limits) as site, site.connect() as connection:
        connection.writer.transport.pause_reading()
        await connection.send(get("/large"))
        await site.until_stalled()
        connection.writer.transport.resume_reading()
        await connection.read_head()
        read = 0
        for _ in range(12):
            await asyncio.sleep(0.1)  # not for anything to happen: it is this client that is slow
            read += len(await connection.reader.readexactly(1 << 14))
        assert len(await connection.reader.readexactly(LARGE - read)) == LARGE - read
