"""Pages that may open a WebSocket, in real handshakes."""

import socket
from collections.abc import Iterator

import pytest
from websockets.exceptions import InvalidStatus

from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection
from tests.live.server import UVICORN, Server, running_server


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    """A server behind a proxy, which other sites may use as well."""
    with running_server(
        DJANGO_ALLOWED_HOSTS="chat.example, 127.0.0.1",
        CHATROOM_ALLOWED_ORIGINS="https://app.example, https://*.example.org",
        CHATROOM_TRUSTED_PROXIES="127.0.0.1",
    ) as server:
        yield server


def status(server: Server, origin: str | None, **headers: str) -> int:
    """Return the status of a handshake from a page of this origin; 101 if it is accepted."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        client = server.connect(origin=origin, headers=named)
    except InvalidStatus as refusal:
        return refusal.response.status_code
    assert client.ask(type="ping")["type"] == "pong"
    return 101


def test_default_is_the_own_host(server: Server) -> None:
    """By default pages of the request's own host and port may connect, and no others."""
    own = f"http://127.0.0.1:{server.port}"
    assert status(server, None) == 101
    assert status(server, own) == 101
    assert status(server, f"http://localhost:{server.port}", Host=f"localhost:{server.port}") == 101
    for origin in (
        f"http://localhost:{server.port}",
        f"http://127.0.0.1:{server.port + 1}",
        f"http://127.0.0.2:{server.port}",
        "http://127.0.0.1",
        "https://evil.example",
        "null",
    ):
        assert status(server, origin) == 403, origin
    assert status(server, own) == 101
    metrics = server.get_text("/metrics")
    assert 'chatroom_connections_refused_total{reason="origin"} 0.0' not in metrics


def test_rebound_names_find_nothing(server: Server) -> None:
    """A page whose name has been rebound to this machine may not connect (DNS rebinding)."""
    host = f"evil.example:{server.port}"
    assert status(server, f"http://{host}", Host=host) == 403
    assert status(server, None, Host=host) == 101
    machine = f"{socket.gethostname()}:{server.port}"
    assert status(server, f"http://{machine}", Host=machine) == 101


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("https://chat.example", "chat.example", 101),
        ("https://CHAT.example", "chat.EXAMPLE", 101),
        ("https://app.example", "chat.example", 101),
        ("https://a.example.org", "chat.example", 101),
        ("https://example.org", "chat.example", 403),
        ("http://a.example.org", "chat.example", 403),
        ("https://app.example:8443", "chat.example", 403),
        ("https://app.example", "other.example", 403),
        ("https://other.example", "other.example", 403),
        ("https://chat.example.evil", "chat.example", 403),
        ("null", "chat.example", 403),
    ],
)
def test_listed_origins(site: Server, origin: str, host: str, expected: int) -> None:
    """Listed origins may connect as well, but only under an allowed host."""
    assert status(site, origin, Host=host) == expected


def test_scheme_behind_a_proxy(site: Server) -> None:
    """If the proxy says that the request came over TLS, a page without TLS is another origin."""
    for scheme, origin, expected in (
        ("https", "https://chat.example", 101),
        ("https", "http://chat.example", 403),
        ("http", "http://chat.example", 101),
    ):
        headers = {"Host": "chat.example", "X_Forwarded_Proto": scheme}
        assert status(site, origin, **headers) == expected


@pytest.mark.parametrize(
    "header",
    [
        b"Origin: http://[",
        b"Origin: http://chat.example@evil.example",
        b"Origin: https://app.example, https://evil.example",
        b"Origin: https://evil.example\r\nOrigin: https://app.example",
        b"Origin: https://app.example\r\nOrigin: https://evil.example",
        b"Origin: https://app.example/",
        b"Origin: \xff\xfe",
        b"Origin: http://app.example:99999999999",
        b"Origin:",
    ],
)
def test_what_is_no_origin(site: Server, header: bytes) -> None:
    """Anything that is not exactly one origin is refused."""
    with RawConnection(site.port) as raw:
        raw.sendall(
            b"GET /ws HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + header + b"\r\n\r\n"
        )
        assert raw.read_to_the_end().split(b" ", 2)[1] in (b"400", b"403")


def test_every_origin(start_server: StartServer) -> None:
    """With the wildcard all pages may connect, also those whose origin is ``null``."""
    server = start_server(*UVICORN, CHATROOM_ALLOWED_ORIGINS="*")
    for origin in ("null", "https://evil.example", f"http://127.0.0.1:{server.port}"):
        assert status(server, origin) == 101
    assert status(server, "https://evil.example", Host="evil.example") == 403
