"""The endpoints beside Django answer as Django's views do."""

import json
import re
from typing import Any

import pytest
from channels.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from pytest_django import Settings

from pubsub import publishing
from pubsub.core.broker import Broker
from pubsub.core.options import GivenOptions
from pubsub.routing import http_application
from pubsub.runtime import get_runtime
from tests.auth.support import SECRET, token

UUID = "550e8400-e29b-41d4-a716-446655440000"
KEY = "operator-0123456789"
ORIGIN = {"origin": "https://app.example"}

Answer = tuple[int, dict[str, str], str]


def scope_of(path: str, *, method: str = "POST", root_path: str = "", **headers: str) -> Any:
    """Return the ASGI scope of a request."""
    named = {"host": "localhost", "content-type": "application/json", **headers}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": root_path,
        "query_string": b"",
        "scheme": "http",
        "client": ["127.0.0.1", 50000],
        "server": ["127.0.0.1", 80],
        "headers": [
            (name.replace("_", "-").encode(), value.encode("latin-1"))
            for name, value in named.items()
        ],
    }


async def ask(application: Any, scope: Any, *pieces: bytes) -> Answer:
    """Make a request whose body comes in pieces; return the status, the headers and the body."""
    request = ApplicationCommunicator(application, scope)
    for number, piece in enumerate(pieces, start=1):
        more = number < len(pieces)
        await request.send_input({"type": "http.request", "body": piece, "more_body": more})
    start = await request.receive_output()
    body = (await request.receive_output())["body"]
    await request.wait()
    headers = {name.decode().title(): value.decode() for name, value in start["headers"]}
    return start["status"], headers, re.sub(r'"id":"[0-9a-f-]{36}"', '"id":"…"', body.decode())


def batch_of(*items: Any) -> bytes:
    """Return the body of a batch."""
    return json.dumps({"messages": items}).encode()


GOOD = {"topic": "t", "payload": 99.5, "id": UUID}
MIXED = batch_of(
    GOOD, {"topic": "x", "payload": 1}, {"topic": "t"}, {**GOOD, "payload": "x" * 70000}
)

REQUESTS: list[tuple[str, dict[str, str], bytes]] = [
    ("/topics/t/messages", {}, b'{"payload":1}'),
    ("/topics/t/messages", {}, b'{"payload":1,"id":"%b"}' % UUID.encode()),
    ("/topics/kept/messages", {}, b'{"payload":1,"id":"%b","once":true}' % UUID.encode()),
    ("/topics/missing/messages", {}, b'{"payload":1}'),
    ("/topics/a b/messages", {}, b'{"payload":1}'),
    ("/topics/a/b/messages", {}, b'{"payload":1}'),
    ("/topics//messages", {}, b'{"payload":1}'),
    ("/topics/t/messages/", {}, b'{"payload":1}'),
    ("/topics/t/messages", {}, b"{}"),
    ("/topics/t/messages", {}, b"\xff"),
    ("/topics/t/messages", {}, b'"%b"' % (b"x" * 70000)),
    ("/topics/t/messages", {"content_length": "70000"}, b"{}"),
    ("/topics/t/messages", {"content_type": "text/plain"}, b'{"payload":1}'),
    ("/topics/t/messages", {"host": "evil.example"}, b'{"payload":1}'),
    ("/topics/t/messages", {"host": "a b"}, b'{"payload":1}'),
    ("/topics/t/messages", ORIGIN, b'{"payload":1}'),
    ("/topics/t/messages", {"origin": "https://evil.example"}, b"{}"),
    ("/messages", {}, MIXED),
    ("/messages", ORIGIN, batch_of()),
    ("/messages", {}, b"[]"),
    ("/messages", {}, batch_of(*[GOOD] * 1001)),
    ("/messages", {}, b" " * (1 << 20) + b"{}"),
    ("/messages", {"content_type": "text/plain"}, batch_of(GOOD)),
]


@pytest.mark.parametrize(("path", "headers", "body"), REQUESTS)
async def test_same_answer(
    settings: Settings, path: str, headers: dict[str, str], body: bytes
) -> None:
    """The status, the headers and the body of each answer are those of Django's view."""
    django = get_asgi_application()
    answers = []
    for application in (django, http_application(django)):
        settings.CHATROOM = {"ALLOWED_ORIGINS": "https://app.example"}
        broker = get_runtime().enter()
        broker.create_topic("t")
        broker.create_topic("kept", GivenOptions(history=5))
        answers.append(await ask(application, scope_of(path, **headers), body[:100], body[100:]))
    assert answers[0] == answers[1]


MEMBER = {"authorization": f"Bearer {token('42', publish=['t'])}"}


@pytest.mark.parametrize("path", ["/topics/t/messages", "/topics/secret/messages", "/messages"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        MEMBER,
        {"authorization": "Bearer nonsense"},
        {"x_api_key": KEY},
        {"x_api_key": "reader-9876543210"},
        {"x_api_key": "unknown"},
    ],
)
@pytest.mark.parametrize("rate", ["0", "0.01"])
async def test_same_rights(
    settings: Settings, path: str, headers: dict[str, str], rate: str
) -> None:
    """The answers to those with and without rights are the same, and so is the rate."""
    django = get_asgi_application()
    body = b'{"payload":1}'
    if path == "/messages":
        body = batch_of(GOOD, {**GOOD, "topic": "secret"}, GOOD, GOOD)
    answers = []
    for application in (django, http_application(django)):
        settings.CHATROOM = {
            "AUTH": "optional",
            "JWT_SECRET": SECRET,
            "API_KEYS": f"{KEY},reader-9876543210:read",
            "REST_RATE_LIMIT": rate,
        }
        broker = get_runtime().enter()
        broker.create_topic("t")
        scope = scope_of(path, **headers)
        answers += [await ask(application, scope, body) for _ in range(2)]
    for status, answered, _ in answers:
        seconds = int(answered.pop("Retry-After", "0"))  # it depends on the time
        assert (seconds > 0) is (status == 429)
    assert answers[:2] == answers[2:]
    tally = get_runtime().tally
    assert broker.statistics().messages == tally.rest_publications


async def test_fault_of_the_server(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the server's own is logged, and answered with 500 and nothing about it."""
    settings.CHATROOM = {}

    async def fail(request: object) -> Any:
        raise ZeroDivisionError("secret")

    application = publishing.application(fail)
    status, _, body = await ask(application, scope_of("/messages"), b"{}")
    assert (status, json.loads(body)["error"]["code"]) == (500, "INTERNAL")
    assert "secret" not in body
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.name == "django.request"


async def test_fault_in_a_batch(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A fault that concerns one item is logged, and told in its place among the results."""
    settings.CHATROOM = {}
    broker = get_runtime().enter()
    broker.create_topic("t")
    publish = Broker.publish
    calls = iter(range(3))

    def fail_once(*arguments: Any, **options: Any) -> Any:
        if next(calls) == 1:
            raise ZeroDivisionError("secret")
        return publish(*arguments, **options)

    monkeypatch.setattr(Broker, "publish", fail_once)
    application = http_application(get_asgi_application())
    status, _, body = await ask(application, scope_of("/messages"), batch_of(GOOD, GOOD, GOOD))
    first, failed, last = json.loads(body)["results"]
    assert (status, first["status"], last["status"]) == (200, "published", "published")
    assert failed == {"error": {"code": "INTERNAL", "message": "internal error"}}
    assert capfd.readouterr().err.count("Failed to publish an item of a batch") == 1


async def test_client_that_leaves(settings: Settings) -> None:
    """Nothing is published for a client that leaves before the end of its body."""
    settings.CHATROOM = {}
    broker = get_runtime().enter()
    broker.create_topic("t")
    request = ApplicationCommunicator(
        http_application(get_asgi_application()), scope_of("/topics/t/messages")
    )
    await request.send_input({"type": "http.request", "body": b'{"payload":1}', "more_body": True})
    await request.send_input({"type": "http.disconnect"})
    await request.wait()
    assert broker.statistics().messages == 0


@pytest.mark.parametrize(
    ("middleware", "expected"),
    [
        (["pubsub.middleware.cors", "pubsub.middleware.json_errors"], True),
        (["pubsub.middleware.json_errors", "django.middleware.common.CommonMiddleware"], False),
        ([], False),
    ],
)
def test_projects_with_other_middlewares(
    settings: Settings, middleware: list[str], expected: bool
) -> None:
    """A project's own middlewares may have rules of their own, so Django serves it."""
    settings.MIDDLEWARE = middleware
    assert publishing.replaces_django() is expected


@pytest.mark.parametrize(
    ("urlconf", "path", "root_path", "prefix", "served"),
    [
        ("chatroom_project.urls", "/topics/t/messages", "", None, True),
        ("chatroom_project.urls", "/messages", "", None, True),
        ("chatroom_project.urls", "/site/messages", "/site", None, True),
        ("chatroom_project.urls", "/site/messages", "", "/site", True),
        ("chatroom_project.urls", "/chat/messages", "", None, False),
        ("chatroom_project.urls", "/topics", "", None, False),
        ("chatroom_project.urls", "/topics//messages", "", None, False),
        ("tests.live.host.urls", "/chat/topics/t/messages", "", None, True),
        ("tests.live.host.urls", "/site/chat/messages", "/site", None, True),
        ("tests.live.host.urls", "/messages", "", None, False),
        ("tests.mounts", "/nested/deep/messages", "", None, True),
        ("tests.mounts", "/of/42/messages", "", None, False),
        ("tests.mounts", "/regular/messages", "", None, False),
        ("tests.mounts", "/view/messages", "", None, False),
    ],
)
async def test_place_of_the_endpoints(
    settings: Settings,
    *,
    urlconf: str,
    path: str,
    root_path: str,
    prefix: str | None,
    served: bool,
) -> None:
    """The endpoints stand where the project includes the chat room, beneath the site's prefix."""
    settings.CHATROOM = {"AUTO_CREATE_TOPICS": True}
    settings.ROOT_URLCONF = urlconf
    settings.FORCE_SCRIPT_NAME = prefix
    others: list[str] = []

    async def django(scope: Any, receive: Any, send: Any) -> None:
        others.append(scope["path"])
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    body = b'{"payload":1}' if "topics" in path else batch_of(GOOD)
    scope = scope_of(path, root_path=root_path)
    status, _, _ = await ask(http_application(django), scope, body)
    assert (status, others) == ((200, []) if served else (404, [path]))
    assert get_runtime().enter().statistics().messages == served
    await ask(http_application(django), {**scope, "method": "GET"}, b"")
    assert others[-1:] == [path]


async def test_a_large_batch_lets_others_work(settings: Settings) -> None:
    """Between two slices of a batch the event loop serves others, in order of the batch."""
    settings.CHATROOM = {}
    broker = get_runtime().enter()
    broker.create_topic("t")
    turns = 0
    wait = get_runtime().turns.wait

    async def counted() -> None:
        nonlocal turns
        turns += 1
        await wait()

    get_runtime().turns.wait = counted  # type: ignore[method-assign]
    application = http_application(get_asgi_application())
    await ask(application, scope_of("/messages"), batch_of(*[GOOD] * 1000))
    assert broker.statistics().messages == 1000
    assert turns == 3
