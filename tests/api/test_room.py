"""The endpoints that answer for all processes of a room, and for one of them."""

from typing import Any, NamedTuple

import msgspec
import pytest
from django.http import StreamingHttpResponse
from django.test import AsyncClient

from pubsub.api.pages import encode_cursor
from pubsub.core.publication import Position
from pubsub.core.timer import on_running_loop
from pubsub.runtime import get_runtime
from tests.auth.support import SECRET
from tests.cluster.room import Process, Room
from tests.cluster.support import shared_broker
from tests.core.support import publish


class Answer(NamedTuple):
    """A response with its decoded body."""

    status: int
    body: Any


class Site(Room):
    """A room whose process "a" is the one that Django's test client asks."""

    def __init__(self) -> None:
        super().__init__()
        self.client = AsyncClient()
        self.runtime = get_runtime()

    async def start(self) -> "Site":
        """Start three processes with the topics "t" and "u"."""
        broker = self.runtime.broker = shared_broker()
        self.runtime.enter()
        await self.add("a", broker=broker, registry=self.runtime.registry)
        for name in "bc":
            await self.add(name)
        for process in self.processes:
            process.install("t", "u")
        self.runtime.cluster = self.processes[0].cluster  # type: ignore[attr-defined]
        return self

    @property
    def here(self) -> Process:
        """The process that is asked."""
        return self.processes[0]

    @property
    def other(self) -> Process:
        """Another process."""
        return self.processes[1]

    def be_impatient(self) -> None:
        """Let time pass for those that ask the processes that do not answer."""
        asking = self.here.messenger._asking
        asking._call_later = lambda delay, call: on_running_loop(delay / 10, call)

    async def request(self, path: str, method: str = "get", **query: Any) -> Answer:
        """Send a request to the process "a"."""
        send = getattr(self.client, method)
        response = await send(path, query_params=query)
        if isinstance(response, StreamingHttpResponse):
            content = b"".join([chunk async for chunk in response])
        else:
            content = response.content
        return Answer(response.status_code, msgspec.json.decode(content))

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Return the body of a successful answer, without what depends on the clock."""
        answer = await self.request(path, **query)
        assert answer.status == 200, answer
        body: dict[str, Any] = answer.body
        for each in (body, *body.get("processes", ())):
            assert each.pop("uptime_sec", 0) >= 0
        return body


@pytest.fixture
async def site(settings: Any) -> Site:
    """Return a room of three processes."""
    settings.CHATROOM = {}
    return await Site().start()


LISTINGS = ("/topics", "/topics/t", "/stats", "/subscriptions", "/clients", "/health")

OWN = {"id": "a", "clients": 0, "age_ms": 0}


@pytest.mark.parametrize("path", LISTINGS)
async def test_scope(site: Site, path: str) -> None:
    """Without `scope` the answer names the processes, and with `scope=process` it has none."""
    site.other.connect("t")
    processes = [OWN, OWN | {"id": "b", "clients": 1}, OWN | {"id": "c"}]
    for query in ({}, {"scope": "room"}):
        body = await site.get(path, **query)
        assert body["processes"] == processes
        assert "complete" not in body
    own = await site.get(path, scope="process")
    assert own.keys() == body.keys() - {"processes"}
    site.runtime.cluster = None  # type: ignore[attr-defined]
    assert await site.get(path) == own
    status, answer = await site.request(path, scope="world")
    assert (status, answer["error"]["message"]) == (400, "scope must be room or process")


async def test_topics(site: Site) -> None:
    """The subscribers are those of all processes."""
    site.here.connect("t")
    site.other.connect("t", "u")
    body = await site.get("/topics", limit=1)
    assert body["topics"] == [{"name": "t", "subscribers": 2}]
    assert (body["truncated"], body["total"]) == (True, 2)
    body = await site.get("/topics", cursor=body["next"])
    assert body["topics"] == [{"name": "u", "subscribers": 1}]
    body = await site.get("/topics", scope="process")
    assert [topic["subscribers"] for topic in body["topics"]] == [1, 0]


async def test_topic(site: Site) -> None:
    """A topic is shown with the counters of all processes."""
    site.other.connect("t")
    publish(site.other.broker, "t", "x")
    site.here.broker.publish("t", "550e8400-e29b-41d4-a716-446655440000", b"null")
    body = await site.get("/topics/t")
    assert (body["messages"], body["subscribers"], body["delivered"]) == (2, 1, 1)
    assert (await site.get("/topics/t", scope="process"))["messages"] == 1
    assert (await site.request("/topics/missing")).status == 404


async def test_position(site: Site) -> None:
    """A topic's position is that of the order which all processes share."""
    site.here.install("kept", history=10)
    site.here.positions["kept"] = Position("shared", 7)
    body = await site.get("/topics/kept")
    assert (body["epoch"], body["offset"]) == ("shared", 7)
    del site.here.positions["kept"]
    body = await site.get("/topics/kept")
    assert (body["offset"], body["complete"]) == (0, False)


async def test_stats(site: Site) -> None:
    """Messages, deliveries and losses are sums, for each topic and in total."""
    site.here.connect("u")
    site.other.connect("t")
    publish(site.other.broker, "t", "x")
    publish(site.processes[2].broker, "t", "x")
    body = await site.get("/stats", prefix="t")
    assert body["topics"] == {"t": {"messages": 2, "subscribers": 1, "delivered": 1, "dropped": 0}}
    expected = {"topics": 2, "clients": 2, "subscribers": 2, "messages": 2, "delivered": 1}
    assert body["totals"].items() >= expected.items()
    assert (await site.get("/stats", scope="process"))["totals"]["clients"] == 1


async def test_health(site: Site) -> None:
    """Clients and subscriptions are those of all processes."""
    site.other.connect("t", "u")
    body = await site.get("/health")
    assert (body["topics"], body["clients"], body["subscribers"]) == (2, 1, 2)


async def test_health_with_authentication(settings: Any) -> None:
    """Everyone may ask, so nothing is told of the processes."""
    settings.CHATROOM = {"AUTH": "required", "JWT_SECRET": SECRET}
    site = await Site().start()
    assert await site.get("/health") == {"status": "ok"}


async def test_clients(site: Site) -> None:
    """The pages have the clients of all processes, in the order in which they connected."""
    clients = [process.connect("t", user="ann") for process in (*site.processes, site.here)]
    first = await site.get("/clients", limit=3)
    assert (first["truncated"], first["total"]) == (True, 4)
    second = await site.get("/clients", cursor=first["next"])
    rows = first["clients"] + second["clients"]
    assert all(row.pop("connected_sec") >= 0 for row in rows)
    assert [row["client_id"] for row in rows] == [each.client.id for each in clients]
    assert rows[1] == {
        "client_id": clients[1].client.id,
        "user": "ann",
        "topics": 1,
        "queued": 0,
        "dropped": 0,
    }
    own = await site.get("/clients", scope="process")
    assert [row["client_id"] for row in own["clients"]] == [
        clients[each].client.id for each in (0, 3)
    ]


async def test_subscriptions(site: Site) -> None:
    """Clients of all processes come first, and then the topics without subscribers anywhere."""
    names = [f"unused-{number}" for number in range(5)]
    for process in site.processes[1:]:
        process.install(*names)
    for name in names:
        site.here.broker.create_topic(name)
    clients = [process.connect("t").client.id for process in site.processes]
    clients.append(site.other.connect("unused-2").client.id)
    pages = [await site.get("/subscriptions", limit=3)]
    while "next" in pages[-1]:
        pages.append(await site.get("/subscriptions", limit=3, cursor=pages[-1]["next"]))
    assert {(page["total_clients"], page["total_topics"]) for page in pages} == {(4, 7)}
    assert [page.get("total") for page in pages] == [4, 4, None]
    assert [
        (row["client_id"], row["topics"]) for page in pages for row in page["subscriptions"]
    ] == [(each, ["t"]) for each in clients[:3]] + [(clients[3], ["unused-2"])]
    assert pages[0]["topic_breakdown"] == {"t": clients[:3]}
    assert pages[1]["topic_breakdown"] == {
        "u": [],
        "unused-0": [],
        "unused-1": [],
        "unused-2": clients[3:],
    }
    assert pages[2]["topic_breakdown"] == {"unused-3": [], "unused-4": []}


async def test_subscriptions_with_a_prefix(site: Site) -> None:
    """Only the clients whose id begins with it are listed."""
    client = site.other.connect("t").client.id
    site.here.connect("u")
    body = await site.get("/subscriptions", prefix=client)
    assert body["topic_breakdown"] == {"t": [client]}
    assert len(body["subscriptions"]) == 1


async def test_many_topics_that_are_used_elsewhere(site: Site) -> None:
    """They are left out of the topics without subscribers, and move no page's end."""
    names = [f"used-{number:04}" for number in range(1200)]
    unused = ["t", "u", "v", "w", "x"]
    for name in [*names, *unused[2:]]:
        site.here.broker.create_topic(name)
    site.other.install(*names)
    for start in range(0, 1200, 100):
        site.other.connect(*names[start : start + 100])
    query = {"limit": "2", "cursor": encode_cursor("")}
    found = []
    while "cursor" in query:
        page = await site.get("/subscriptions", **query)
        found.append([*page["topic_breakdown"]])
        query = {"limit": "2", "cursor": page["next"]} if "next" in page else {}
    assert found == [["t", "u"], ["v", "w"], ["x"]]


@pytest.mark.parametrize("path", LISTINGS)
async def test_a_process_does_not_answer(site: Site, path: str) -> None:
    """The answer says so, and still names it."""
    site.be_impatient()
    site.other.be_silent()
    body = await site.get(path)
    assert body["complete"] is False
    assert [each["id"] for each in body["processes"]] == ["a", "b", "c"]


@pytest.mark.parametrize("path", LISTINGS)
async def test_without_the_network(site: Site, path: str) -> None:
    """The answer is that of this process, and says so."""
    site.here.relay.disconnect()
    body = await site.get(path)
    own = await site.get(path, scope="process")
    assert body == own | {"processes": [OWN], "complete": False}


async def test_disconnect(site: Site) -> None:
    """Clients and users are disconnected in whatever process they are."""
    first, second, third = (process.connect(user="ann") for process in site.processes)
    status, body = await site.request(f"/clients/{third.client.id}", "delete")
    assert (status, body["status"], body["clients"]) == (200, "disconnected", 1)
    assert [each["id"] for each in body["processes"]] == ["a", "b", "c"]
    assert [each.was_kicked for each in (first, second, third)] == [False, False, True]
    status, body = await site.request("/users/ann", "delete")
    assert (status, body["clients"]) == (200, 2)
    assert first.was_kicked
    assert second.was_kicked


@pytest.mark.parametrize("path", ["/clients/x", "/users/ann"])
async def test_disconnect_nobody(site: Site, path: str) -> None:
    """404 is certain: all processes have answered; if one has not, the answer is 503."""
    status, body = await site.request(path, "delete")
    assert (status, body["error"]["code"]) == (404, "NOT_FOUND")
    site.be_impatient()
    site.other.be_silent()
    status, body = await site.request(path, "delete")
    assert (status, body["error"]["code"]) == (503, "UNAVAILABLE")
    status, body = await site.request(path, "delete", scope="process")
    assert status == 404


async def test_disconnect_here_alone(site: Site) -> None:
    """With `scope=process` nothing happens in other processes, nor is the answer another."""
    here, there = site.here.connect(user="ann"), site.other.connect(user="ann")
    status, body = await site.request("/users/ann", "delete", scope="process")
    assert (status, body) == (200, {"status": "disconnected", "clients": 1})
    assert (here.was_kicked, there.was_kicked) == (True, False)
