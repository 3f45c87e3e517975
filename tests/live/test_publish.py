"""`pubsub.publish` called by a Django project that hosts the chat room."""

import pytest

from tests.live.conftest import StartServer

HOST = ("-m", "daphne", "-p", "0", "tests.live.host.asgi:application")


@pytest.mark.parametrize("view", ["sync", "async", "thread"])
def test_publish_from_django_code(start_server: StartServer, view: str) -> None:
    """Any thread of the process can publish, and gets the number of subscribers."""
    server = start_server(*HOST, DJANGO_SETTINGS_MODULE="tests.live.host.settings")
    assert server.request("POST", "/chat/topics", {"name": "orders"})[0] == 201
    subscribers = [server.subscriber("orders") for _ in range(2)]
    assert server.request("GET", f"/publish/{view}") == (200, {"subscribers": 2})
    expected = {
        "sync": [{"from": "sync", "n": 99.5}],
        "async": [{"from": "async"}],
        "thread": list(range(100)),
    }[view]
    for subscriber in subscribers:
        assert [subscriber.receive()["message"]["payload"] for _ in expected] == expected


@pytest.mark.parametrize("view", ["sync", "async"])
def test_first_request_may_publish(start_server: StartServer, view: str) -> None:
    """A view may publish before any client has connected or requested a topic."""
    server = start_server(*HOST, DJANGO_SETTINGS_MODULE="tests.live.host.auto_create")
    assert server.request("GET", f"/publish/{view}") == (200, {"subscribers": 0})
    assert server.request("GET", "/chat/health")[1]["topics"] == 1


def test_errors_reach_the_caller(start_server: StartServer) -> None:
    """The broker's exceptions reach the caller across threads."""
    server = start_server(*HOST, DJANGO_SETTINGS_MODULE="tests.live.host.settings")
    assert server.request("GET", "/publish/wrong") == (
        200,
        {"error": "topic does not exist", "topic": "missing"},
    )
