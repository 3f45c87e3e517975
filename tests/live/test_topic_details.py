"""One topic over REST: its options, its position, its counters and its past messages."""

import re
from typing import Any

import pytest

from tests.auth.support import SECRET, token
from tests.live.conftest import StartServer
from tests.live.server import Server

OPTIONS = {"history": 3, "history_seconds": 600, "presence": True, "overflow": "catch_up"}


def past(server: Server, query: str = "") -> dict[str, Any]:
    """Return the past messages of the topic "t"."""
    status, page = server.request("GET", f"/topics/t/messages{query}")
    assert status == 200, page
    return dict(page)


def publish(server: Server, *payloads: Any) -> None:
    """Publish to the topic "t" over REST."""
    for payload in payloads:
        assert server.request("POST", "/topics/t/messages", {"payload": payload})[0] == 200


def test_topic_with_all_options(server: Server) -> None:
    """A topic is shown with the options that it was created with."""
    server.create_topic("t", **OPTIONS)
    server.subscriber("t")
    publish(server, 1, 2)
    status, topic = server.request("GET", "/topics/t")
    assert status == 200
    assert re.fullmatch("[0-9A-Za-z]{8}", topic.pop("epoch"))
    counters = {"messages": 2, "subscribers": 1, "delivered": 2, "dropped": 0}
    assert topic == {"name": "t", **OPTIONS, "offset": 2, **counters}


def test_topic_with_the_defaults(server: Server) -> None:
    """A topic without history has no position; a missing one is 404."""
    server.create_topic("t")
    assert server.request("GET", "/topics/t")[1] == {
        "name": "t",
        "history": 0,
        "history_seconds": None,
        "presence": False,
        "overflow": "drop_newest",
        "messages": 0,
        "subscribers": 0,
        "delivered": 0,
        "dropped": 0,
    }
    status, answer = server.request("GET", "/topics/missing")
    assert (status, answer["error"]["code"]) == (404, "TOPIC_NOT_FOUND")


def test_past_messages(server: Server) -> None:
    """They are the newest ones, or those after a position, and say whether any is missing."""
    server.create_topic("t", history=3)
    publish(server, "a", 99.5, None, "d")
    page = past(server)
    epoch = page["epoch"]
    assert (page["topic"], page["offset"], page["complete"]) == ("t", 4, True)
    found = [(each["offset"], each["message"]["payload"]) for each in page["messages"]]
    assert found == [(2, 99.5), (3, None), (4, "d")]
    assert [each["offset"] for each in past(server, "?limit=1")["messages"]] == [4]
    for query, complete, offsets in (
        (f"?since_offset=2&epoch={epoch}", True, [3, 4]),
        (f"?since_offset=1&epoch={epoch}&limit=2", True, [2, 3]),
        (f"?since_offset=0&epoch={epoch}", False, [2, 3, 4]),
        (f"?since_offset=4&epoch={epoch}", True, []),
        (f"?since_offset=5&epoch={epoch}", False, [2, 3, 4]),
        ("?since_offset=3&epoch=another1", False, [2, 3, 4]),
    ):
        page = past(server, query)
        found = [each["offset"] for each in page["messages"]]
        assert (page["complete"], found, page["offset"]) == (complete, offsets, 4), query


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?limit=0", "limit must be an integer from 1 to 1000"),
        ("?limit=1001", "limit must be an integer from 1 to 1000"),
        ("?limit=x", "limit must be an integer from 1 to 1000"),
        ("?since_offset=1", "epoch is required with since_offset"),
        ("?epoch=x", "since_offset is required with epoch"),
        ("?since_offset=-1&epoch=x", "since_offset must be an integer of at least 0"),
        (f"?since_offset={'9' * 20}&epoch=x", "since_offset must be an integer of at least 0"),
    ],
)
def test_bad_query(server: Server, query: str, message: str) -> None:
    """A query that is invalid is refused by the name of its parameter."""
    server.create_topic("t", history=3)
    status, answer = server.request("GET", f"/topics/t/messages{query}")
    assert (status, answer["error"]["message"]) == (400, message)


def test_topic_without_history(server: Server) -> None:
    """A topic that keeps no messages has none to hand out."""
    server.create_topic("t")
    status, answer = server.request("GET", "/topics/t/messages")
    assert (status, answer["error"]["code"]) == (400, "BAD_REQUEST")


def test_rights(start_server: StartServer) -> None:
    """To look at a topic takes the right to subscribe to it, or any API key."""
    server = start_server(
        CHATROOM_AUTH="required",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_API_KEYS="reader-9876543210:read",
        CHATROOM_TOPICS='{"t":{"history":5}}',
    )
    key = {"X-API-Key": "reader-9876543210"}
    reader = {"Authorization": f"Bearer {token('1', subscribe=['t'])}"}
    publisher = {"Authorization": f"Bearer {token('1', publish=['t'])}"}
    for path in ("/topics/t", "/topics/t/messages"):
        statuses = [
            server.request("GET", path, headers=headers)[0]
            for headers in (key, reader, publisher, {})
        ]
        assert statuses == [200, 200, 403, 401]
