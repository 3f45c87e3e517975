"""The pages and their static files over HTTP; tests/browser/ opens them in a browser."""

import re
import urllib.error
import urllib.request
from contextlib import closing
from email.message import Message
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.live.conftest import StartServer
from tests.live.server import DAPHNE, PROJECT, Server
from tests.live.template import run
from tests.live.waiting import PATIENCE

HOST = ("-m", "daphne", "-p", "0", "tests.live.host.asgi:application")


def get(server: Server, path: str) -> tuple[Message, str]:
    """Return the headers and the body of a path."""
    with urllib.request.urlopen(
        f"http://127.0.0.1:{server.port}{path}", timeout=PATIENCE
    ) as response:
        return response.headers, response.read().decode(errors="replace")


def assets(page: str) -> list[str]:
    """Return the URLs of the files that a page loads."""
    return re.findall(r'<(?:link|script)[^>]* (?:href|src)="([^"]+)"', page)


@pytest.mark.parametrize("path", ["/", "/docs/ws"])
def test_pages_allow_nothing_foreign(server: Server, path: str) -> None:
    """Pages have no inline code and load nothing from other hosts, which a policy enforces."""
    headers, page = get(server, path)
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|//[a-z]", page)
    for address in assets(page):
        assert address.startswith("/static/")
        get(server, address)


def test_openapi_page_allows_nothing_foreign(server: Server) -> None:
    """The REST reference has a policy too; tests/browser/ shows that the page works with it."""
    headers, page = get(server, "/docs")
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    for address in assets(page):
        assert address.startswith("/static/")


def test_pages_link_to_each_other(server: Server) -> None:
    """The room links to both references, and they link back to it."""
    room, reference = get(server, "/")[1], get(server, "/docs/ws")[1]
    for page in (room, reference):
        assert 'href="/docs"' in page
        assert 'href="/docs/ws"' in page
    assert 'href="/"' in reference
    assert 'href="/asyncapi.json"' in reference


def test_asyncapi(server: Server) -> None:
    """The AsyncAPI document names the host and port of the request."""
    status, document = server.request("GET", "/asyncapi.json")
    assert (status, document["asyncapi"]) == (200, "3.0.0")
    assert document["servers"]["chatroom"]["host"] == f"127.0.0.1:{server.port}"
    page = get(server, "/docs/ws")[1]
    assert f"ws://127.0.0.1:{server.port}/ws" in page
    for name in document["components"]["messages"]:
        assert f'id="{name}"' in page


def test_rules_of_fields(server: Server) -> None:
    """The WebSocket reference shows the rule of each field next to its name."""
    page = get(server, "/docs/ws")[1]
    rules = dict(re.findall(r'<th scope="row"><code>([\w.]+)</code>(.*?)</tr>', page))
    assert "a UUID in its canonical form" in rules["message.id"]
    assert "a UUID in its canonical form" not in rules["topic"]
    assert "in Unicode normalization form NFC" in rules["topic"]
    assert "at least 1; at most 1000; 100 if it is left out" in rules["limit"]
    assert "false if it is left out" in rules["once"]


def test_only_reading(server: Server) -> None:
    """Pages accept GET and HEAD only."""
    for path in ("/", "/docs/ws", "/asyncapi.json"):
        assert server.request("POST", path)[0] == 405
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method="HEAD")
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            assert response.status == 200


def test_in_another_project(start_server: StartServer) -> None:
    """Under a prefix, the page uses the URLs of the host project."""
    server = start_server(*HOST, DJANGO_SETTINGS_MODULE="tests.live.host.with_page")
    page = get(server, "/chat/")[1]
    assert 'data-rest="/chat/"' in page
    assert 'data-websocket="/ws"' in page
    assert 'href="/chat/docs/ws"' in page
    assert 'href="/chat/asyncapi.json"' in get(server, "/chat/docs/ws")[1]


def test_in_a_project_without_the_page() -> None:
    """Without the app `pubsub.console` the document is served but the pages are not."""
    # Django logs warnings about pages that are not found, so the log is not checked.
    with closing(Server(*HOST, DJANGO_SETTINGS_MODULE="tests.live.host.settings")) as server:
        assert server.request("GET", "/chat/asyncapi.json")[0] == 200
        for path in ("/chat/", "/chat/docs/ws"):
            with pytest.raises(urllib.error.HTTPError, match="404") as failed:
                get(server, path)
            failed.value.close()


def test_collected_files(start_server: StartServer, tmp_path: Path) -> None:
    """Every file that the pages load has a hash in its name, including imported modules."""
    environment = {"DJANGO_STATIC_ROOT": str(tmp_path)}
    collect = ("manage.py", "collectstatic", "--noinput", "--verbosity", "0")
    assert run(*collect, **environment) == (0, "")
    server = start_server(**environment)
    waiting = [*assets(get(server, "/")[1]), *assets(get(server, "/docs/ws")[1])]
    waiting += assets(get(server, "/docs")[1])
    seen: set[str] = set()
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        assert re.search(r"\.[0-9a-f]{12}\.\w+$", address), address
        headers, text = get(server, address)
        assert "immutable" in headers["Cache-Control"]
        if address.startswith("/static/pubsub/") and address.endswith(".js"):
            imports = re.findall(r'^import [^;]*?"(.+?)";', text, re.MULTILINE)
            waiting += [urljoin(address, imported) for imported in imports]
    source = PROJECT / "pubsub/console/static/pubsub/console"
    types_only = source / "chatroom/types.js"  # no browser loads it
    for path in set(source.rglob("*.*")) - {types_only}:
        hashed = rf"/{re.escape(path.stem)}\.[0-9a-f]{{12}}\{path.suffix}$"
        assert any(re.search(hashed, address) for address in seen), path.name
    # Other sites import the client under its plain name.
    headers, _ = get(server, "/static/pubsub/console/chatroom.js")
    assert "immutable" not in headers["Cache-Control"]
    assert headers["Access-Control-Allow-Origin"] == "*"


def test_files_that_were_not_collected(tmp_path: Path) -> None:
    """Without collected files, the start fails with one line that names the setting."""
    status, output = run(*DAPHNE, DJANGO_STATIC_ROOT=str(tmp_path))
    assert status == 1
    assert output.startswith("chatroom: DJANGO_STATIC_ROOT holds no files;")
    assert len(output.splitlines()) == 1
