"""Deployments that cannot share one set of topics: several processes, and WSGI."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.live.conftest import StartServer
from tests.live.server import UVICORN, Server

APPLICATION = "chatroom_project.asgi:application"
WORKERS = ("-m", "uvicorn", "--port", "FREE_PORT", "--workers", "2", APPLICATION)
RELOAD = ("-m", "uvicorn", "--port", "FREE_PORT", "--reload", APPLICATION)

WSGI = """
from wsgiref.simple_server import make_server
from django.core.wsgi import get_wsgi_application
with make_server("127.0.0.1", 0, get_wsgi_application()) as server:
    print(f"running on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
"""


def healths(server: Server) -> Iterator[dict[str, object]]:
    """Yield the answers of /health to parallel requests, so that every worker answers some."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(200):
            yield from pool.map(lambda _: server.request("GET", "/health")[1], range(8))


def test_several_workers() -> None:
    """Each worker logs one warning, and /health reports the problem and the remedy."""
    with closing(Server(*WORKERS)) as server:
        try:
            warnings: list[str] = []
            for health in healths(server):
                warnings = re.findall("2 processes serve .*", server.log(), re.MULTILINE)
                if health["status"] == "split" and len(warnings) == 2:
                    break
            assert health["status"] == "split"
            assert warnings == [health["problem"]] * 2
            assert f"on port {server.port}, " in warnings[0]
            assert [server.request("GET", "/topics")[0] for _ in range(4)] == [200] * 4
        finally:
            server.stop()
        assert [line.partition(" WARNING  ")[2] for line in server.complaints()] == warnings


@pytest.mark.parametrize("command", [(), UVICORN, RELOAD])
def test_one_worker(start_server: StartServer, command: tuple[str, ...]) -> None:
    """One process raises no alarm, even under a supervisor that holds its socket."""
    server = start_server(*command)
    assert server.connect().ask(type="ping")["type"] == "pong"
    for _ in range(2):
        health = server.request("GET", "/health")[1]
        assert (health["status"], "problem" in health) == ("ok", False)
    assert "processes serve" not in server.log()
    server.reset_clients()
    server.stop()


def test_wsgi(start_server: StartServer) -> None:
    """Over WSGI every endpoint answers 503 with a message that names the remedy."""
    server = start_server("-c", WSGI, DJANGO_SETTINGS_MODULE="chatroom_project.settings")
    for method, path, body in (
        ("GET", "/health", None),
        ("GET", "/topics", None),
        ("GET", "/stats", None),
        ("GET", "/subscriptions", None),
        ("GET", "/ws", None),
        ("POST", "/topics", {"name": "orders"}),
        ("DELETE", "/topics/orders", None),
        ("POST", "/topics/orders/messages", {"payload": 1}),
    ):
        status, answer = server.request(method, path, body)
        assert (status, answer["error"]["code"]) == (503, "UNAVAILABLE"), path
        assert "serve it over ASGI" in answer["error"]["message"]
    assert server.request("GET", "/openapi.json")[0] == 200
    assert server.request("GET", "/asyncapi.json")[0] == 200
