"""Pages of other origins that use the REST endpoints (the Fetch standard, section 3.2)."""

from collections.abc import Iterator

import pytest

from tests.live.conftest import StartServer
from tests.live.raw_http import RawConnection, get, post
from tests.live.server import DAPHNE, Server, running_server

APP = {"Origin": "https://app.example"}
EVIL = {"Origin": "https://evil.example"}

PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type,x-api-key",
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    """A server that pages of one other site may use, and that wants an API key from operators."""
    with running_server(
        CHATROOM_ALLOWED_ORIGINS="https://app.example",
        CHATROOM_API_KEYS="operator-0123456789",
        CHATROOM_MAX_MESSAGE_BYTES="1000",
        CHATROOM_REQUEST_TIMEOUT="0.5",
    ) as server:
        yield server


def cors(headers: dict[str, str]) -> dict[str, str]:
    """Return the headers of a response that tell a browser what a page may do."""
    return {
        name: value
        for name, value in headers.items()
        if name.startswith("Access-Control-") or name == "Vary"
    }


def preflight(server: Server, path: str, origin: str) -> tuple[int, dict[str, str], bytes]:
    """Ask as a browser does before a request that is not simple."""
    lines = [f"{name}: {value}" for name, value in {**PREFLIGHT, "Origin": origin}.items()]
    with RawConnection(server.port) as raw:
        raw.sendall(get(path, *lines, "Connection: close").replace(b"GET", b"OPTIONS", 1))
        response, body = raw.read_response()
        return response.status, dict(response.headers), body


def test_preflight(shared: Server) -> None:
    """A page of a listed origin may send JSON, tokens, API keys and the last id of a stream."""
    for path in ("/topics", "/topics/t/messages", "/clients/x", "/events"):
        status, headers, body = preflight(shared, path, "https://app.example")
        assert (status, body) == (204, b"")
        assert cors(headers) == {
            "Access-Control-Allow-Origin": "https://app.example",
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": (
                "Content-Type, Authorization, X-API-Key, X-Client-Id, Last-Event-ID"
            ),
            "Access-Control-Max-Age": "7200",
            "Access-Control-Expose-Headers": "Retry-After, WWW-Authenticate",
            "Vary": "Origin",
        }


def test_preflight_of_another_page(shared: Server) -> None:
    """A page of any other origin is refused, with a reason that names the setting."""
    for origin in ("https://evil.example", "https://app.example.evil", "null"):
        status, headers, body = preflight(shared, "/topics", origin)
        assert status == 403
        assert b"FORBIDDEN" in body
        assert b"CHATROOM_ALLOWED_ORIGINS" in body
        assert cors(headers) == {"Vary": "Origin"}


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/topics", None, 200),
        ("GET", "/stats", None, 401),
        ("GET", "/nowhere", None, 404),
        ("DELETE", "/clients/x", None, 401),
        ("POST", "/topics/missing/messages", {"payload": 1}, 404),
        ("POST", "/topics/missing/messages", {"payload": "x" * 2000}, 413),
        ("PUT", "/topics", None, 405),
    ],
)
def test_responses(shared: Server, method: str, path: str, body: object, expected: int) -> None:
    """A page of a listed origin can read every response and error, and no other page any."""
    status, headers, _ = shared.raw_request(method, path, body, headers=APP)
    assert status == expected
    assert headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "Retry-After" in headers["Access-Control-Expose-Headers"]
    assert headers["Vary"] == "Origin"
    for origin in (EVIL, {}):
        status, headers, _ = shared.raw_request(method, path, body, headers=origin)
        assert status == expected
        assert cors(headers) == {"Vary": "Origin"}


def test_refusals_before_the_application(shared: Server) -> None:
    """A page can also read why a request was refused before it was complete."""
    for request, expected in (
        (post("/topics", "Origin: https://app.example", "Content-Length: 5000"), 413),
        (post("/topics", "Origin: https://app.example", "Content-Length: 5"), 408),
    ):
        with RawConnection(shared.port) as raw:
            raw.sendall(request)
            response, _ = raw.read_response()
            assert response.status == expected
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert response.headers["Vary"] == "Origin"


def test_nothing_by_default(server: Server) -> None:
    """Without listed origins there is no header at all, and no preflight."""
    for origin in (EVIL, {"Origin": f"http://127.0.0.1:{server.port}"}, {}):
        assert cors(server.raw_request("GET", "/topics", headers=origin)[1]) == {}
    status, headers, _ = preflight(server, "/topics", "https://app.example")
    assert status == 405
    assert cors(headers) == {}
    with RawConnection(server.port) as raw:
        raw.sendall(post("/topics", "Origin: https://app.example", "Content-Length: 1000000"))
        response, _ = raw.read_response()
        assert cors(dict(response.headers)) == {}


def test_every_origin(start_server: StartServer) -> None:
    """The wildcard is answered as such, and the answer does not depend on the origin."""
    server = start_server(CHATROOM_ALLOWED_ORIGINS="*")
    for origin in ("https://app.example", "null"):
        _, headers, _ = server.raw_request("GET", "/topics", headers={"Origin": origin})
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in headers
        assert "Vary" not in headers
        assert preflight(server, "/topics", origin)[0] == 204


def test_below_a_prefix(start_server: StartServer) -> None:
    """A server below a prefix, which only the server knows, answers in the same way."""
    server = start_server(*DAPHNE, "--root-path", "/site", CHATROOM_ALLOWED_ORIGINS="*")
    headers = server.raw_request("GET", "/site/topics", headers=APP)[1]
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert preflight(server, "/site/topics", "https://app.example")[0] == 204


def test_other_views_of_a_project(start_server: StartServer) -> None:
    """In a project of its own, only the views of the chat room are open to other origins."""
    server = start_server(
        *("-m", "daphne", "-p", "0", "tests.live.host.asgi:application"),
        DJANGO_SETTINGS_MODULE="tests.live.host.members",
    )
    assert "Access-Control-Allow-Origin" not in server.raw_request("GET", "/other", headers=APP)[1]
    headers = server.raw_request("GET", "/chat/topics", headers=APP)[1]
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert preflight(server, "/chat/topics", "https://app.example")[0] == 204
    assert preflight(server, "/other", "https://app.example")[0] == 200
