"""What `chatroom.js` and the page make of a server of several processes, which is faked here."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, WebSocketRoute, expect

from tests.browser import test_client
from tests.browser.conftest import OpenPage
from tests.browser.test_accessibility import DESK, PHONE, check
from tests.browser.test_fallback import BLOCKED
from tests.browser.test_room import joined, say
from tests.live.server import Server

open_server, server, site = test_client.open_server, test_client.server, test_client.site
client, fake = test_client.client, test_client.fake

Fake = Callable[..., list[WebSocketRoute]]

FOLLOW = """async (topic) => {
    window.gaps = [];
    await room.subscribe(topic, {onNotice: (notice) => {
        const {kind, cause, lost = null, atMost = null, from, until} = notice;
        gaps.push([kind, cause, lost, atMost, from instanceof Date && from === until]);
    }});
}"""

QUICK = """() => {
    window.pauses = [];
    Math.random = () => 0;
    const {setTimeout} = window;
    window.setTimeout = (action, delay) => {
        if (delay > 9000) return setTimeout(action, delay);
        pauses.push(delay);
        return setTimeout(action, 0);
    };
}"""

IDS = ["9f3c2a7b00000001", "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"]


def answering(
    answers: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> Callable[[WebSocketRoute], None]:
    """Return a server that gives these answers, one to each command, on all connections."""

    def serve(socket: WebSocketRoute) -> None:
        def on_message(text: str | bytes) -> None:
            command = json.loads(text)
            asked.append(command)
            reply = {"request_id": command["request_id"], "topic": "t", "ts": "2025"}
            socket.send(json.dumps(reply | answers.pop(0)))

        socket.on_message(on_message)

    return serve


def ack(**fields: object) -> dict[str, Any]:
    """Return the answer to a command that was carried out."""
    return {"type": "ack", "status": "ok", **fields}


def unavailable(**fields: object) -> dict[str, Any]:
    """Return the answer to a command that needs processes that are out of reach."""
    return {"type": "error", "error": {"code": "UNAVAILABLE", "message": "try again"}, **fields}


def test_losses_between_processes(client: Page, fake: Fake) -> None:
    """What was lost between processes is a gap, with the exact number or a bound."""
    sockets = fake(answering([ack()], []))
    client.evaluate("start()")
    client.evaluate(FOLLOW, "t")
    gap = {"type": "error", "topic": "t", "error": {"code": "RELAY_GAP"}, "ts": "2025"}
    sockets[0].send(json.dumps(gap | {"dropped": 3}))
    sockets[0].send(json.dumps(gap | {"at_most": 5}))
    client.wait_for_function("gaps.length === 2")
    assert client.evaluate("gaps") == [
        ["gap", "relay", 3, None, True],
        ["gap", "relay", None, 5, True],
    ]
    assert client.evaluate("log.filter(([type]) => type === 'refusal')") == []


def test_new_positions(client: Page, fake: Fake) -> None:
    """When a topic begins a new history, that is one gap, and the client recovers from there."""
    asked: list[dict[str, Any]] = []
    answers = [ack(epoch="e1", offset=40, client_id="c"), ack(epoch="e2", offset=2, recovered=True)]
    sockets = fake(answering(answers, asked))
    client.evaluate("start({minDelay: 1})")
    client.evaluate(FOLLOW, "t")
    reset = {"type": "info", "topic": "t", "msg": "position_reset", "epoch": "e2", "offset": 0}
    event = {"type": "event", "topic": "t", "message": {"id": "1", "payload": 1}, "offset": 2}
    client.evaluate("room.addEventListener('event', () => { window.heard = true; })")
    for frame in (reset, event, reset):
        sockets[0].send(json.dumps(frame | {"ts": "2025"}))
    client.wait_for_function("window.heard")
    assert client.evaluate("gaps") == [["gap", "reset", None, None, True]]
    sockets[0].close(code=3001)
    client.wait_for_function("room.state === 'open'")
    client.evaluate("room.subscribe('t')")
    assert asked[1]["recover"] == {"epoch": "e2", "offset": 2, "client_id": "c"}


def test_subscribing_while_others_are_out_of_reach(client: Page, fake: Fake) -> None:
    """A subscription that is not possible now is tried again, after growing pauses."""
    fake(answering([unavailable(), unavailable(), unavailable(), ack()], asked := []))
    client.evaluate(QUICK)
    client.evaluate("start()")
    assert client.evaluate("room.subscribe('t')")["status"] == "ok"
    assert [command["type"] for command in asked] == ["subscribe"] * 4
    assert client.evaluate("pauses") == [1000, 2000, 4000]


def test_publishing_while_others_are_out_of_reach(client: Page, fake: Fake) -> None:
    """The ack says who was reached; a refused publication fails, and may have an unknown fate."""
    answers = [ack(scope="process"), unavailable(), unavailable(unknown_fate=True)]
    fake(answering(answers, []))
    client.evaluate("start()")
    assert client.evaluate("room.publish('t', 1)")["scope"] == "process"
    for unknown in (False, True):
        refused = client.evaluate("outcome(room.publish('t', 1))")
        assert (refused["code"], refused["unknownFate"]) == ("UNAVAILABLE", unknown)


def test_once(client: Page, fake: Fake) -> None:
    """With `once`, a publication is repeated until its fate is known."""
    answers = [unavailable(unknown_fate=True), unavailable(), ack(offset=7, duplicate=True)]
    fake(answering([*answers, unavailable()], asked := []))
    client.evaluate(QUICK)
    client.evaluate("start()")
    assert client.evaluate("room.publish('t', 1, {once: true})")["duplicate"] is True
    assert len({command["message"]["id"] for command in asked}) == 1
    assert client.evaluate("pauses") == [1000, 2000]
    refused = client.evaluate("outcome(room.publish('t', 1, {once: true}))")
    assert (refused["code"], refused["unknownFate"], len(asked)) == ("UNAVAILABLE", False, 4)


def test_which_process(server: Server, client: Page, fake: Fake) -> None:
    """A client can ask which process it is connected to; a server of one process names none."""
    client.evaluate("start()")
    assert client.evaluate("room.process()") is None
    fake(answering([{"type": "pong", "process": IDS[0]}], asked := []))
    client.evaluate("start()")
    assert client.evaluate("room.process()") == IDS[0]
    assert (asked[0]["type"], asked[0]["process"]) == ("ping", True)


def test_without_a_websocket(server: Server, client: Page, complaints: list[str]) -> None:
    """Over REST, the client learns the same of its publications."""
    server.create_topic("t")
    client.add_init_script(BLOCKED)
    client.reload()
    error = {"error": {"code": "UNAVAILABLE", "message": "try again"}, "unknown_fate": True}
    answers: list[tuple[int, dict[str, Any]]] = [(200, {"scope": "process"}), (503, error)]

    def answer(route: Route) -> None:
        status, body = answers.pop(0)
        route.fulfill(status=status, json=body, headers={"Access-Control-Allow-Origin": "*"})

    client.route("**/topics/t/messages", answer)
    client.evaluate("start({minDelay: 1})")
    assert client.evaluate("room.publish('t', 1)")["scope"] == "process"
    refused = client.evaluate("outcome(room.publish('t', 1))")
    assert (refused["code"], refused["unknownFate"]) == ("UNAVAILABLE", True)
    complaints[:] = [text for text in complaints if "status of 503" not in text]


class Room:
    """Makes one server look like one of three processes."""

    def __init__(self, page: Page) -> None:
        self.connected_to = IDS[0]
        self.complete = True
        self.readiness = "ok"
        self.scope: str | None = None
        self.sockets: list[WebSocketRoute] = []
        self._page = page
        page.route("**/health", self._add_processes)
        page.route("**/stats", self._add_processes)
        page.route(
            "**/readyz",
            lambda route: route.fulfill(status=503, json={"status": self.readiness}),
        )
        page.route_web_socket("**/ws", self._on_socket)
        page.reload()

    def _add_processes(self, route: Route) -> None:
        response = route.fetch()
        more: dict[str, Any] = {} if self.complete else {"complete": False}
        more["processes"] = [
            {"id": each, "uptime_sec": 3600, "clients": 2, "age_ms": 120} for each in IDS
        ]
        route.fulfill(response=response, json=response.json() | more)

    def _on_socket(self, socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        self.sockets.append(socket)
        process = self.connected_to

        def to_server(text: str | bytes) -> None:
            command = json.loads(text)
            if command.get("process"):
                pong = {"type": "pong", "request_id": command["request_id"], "process": process}
                socket.send(json.dumps(pong | {"ts": "2025"}))
            else:
                server.send(text)

        def to_page(text: str | bytes) -> None:
            frame = json.loads(text)
            if self.scope and frame["type"] == "ack":
                frame["scope"] = self.scope
            socket.send(json.dumps(frame))

        socket.on_message(to_server)
        server.on_message(to_page)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_page(
    server: Server, open_page: OpenPage, viewport: dict[str, int], complaints: list[str]
) -> None:
    """The page shows its process among all, which another connection may change, and problems."""
    server.create_topic("t")
    page = open_page(server, "/#t", viewport=viewport)
    room = Room(page)
    joined(page, "t")
    own = page.locator("#connection-process")
    expect(own).to_have_text("Process 9f3c2a7b · 1 of 3")
    assert own.is_visible() == (viewport is DESK)
    room.connected_to = IDS[2]
    room.sockets[-1].close(code=3001, reason="shutdown")
    expect(own).to_have_text("Process bbbbbbbb · 3 of 3")
    room.scope = "process"
    say(page, "Hello")
    expect(page.locator(".message.partial")).to_contain_text("only some people")
    check(page)
    page.locator(".views [data-view=health], #tab-health").locator("visible=true").click()
    rows = page.locator("#processes-rows tr")
    expect(rows.nth(2)).to_have_text("bbbbbbbb this page1 h 0 min20.1 s old")
    expect(rows).to_have_count(3)
    problem = page.locator("#processes-problem")
    expect(problem).to_be_hidden()
    room.complete = False
    expect(problem).to_have_text("Some processes did not answer, so these figures are incomplete.")
    expect(problem).to_be_visible()
    room.readiness = "degraded"
    expect(problem).to_contain_text("A process cannot reach the others")
    check(page)
    room.complete = True
    expect(problem).to_be_hidden()
    complaints[:] = [text for text in complaints if "status of 503" not in text]


def test_page_of_a_single_process(server: Server, open_page: OpenPage) -> None:
    """If the server is a single process, the page neither asks for it nor shows anything."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    with page.expect_response("**/stats"):
        page.get_by_role("tab", name="Health").click()
    expect(page.locator("#figures")).to_contain_text("Rooms1")
    assert page.locator("#connection-process").inner_text() == ""
    assert page.locator("#processes").is_hidden()
    page.get_by_role("tab", name="Wire").click()
    expect(page.locator(".frame strong")).to_have_text(["subscribe", "ack"])


def test_losses_on_the_page(server: Server, open_page: OpenPage) -> None:
    """The page shows where messages of other processes are missing."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    room = Room(page)
    joined(page, "t")
    gap = {"type": "error", "topic": "t", "error": {"code": "RELAY_GAP"}, "ts": "2025"}
    reset = {"type": "info", "topic": "t", "msg": "position_reset", "epoch": "e", "offset": 0}
    for frame in (gap | {"dropped": 1}, gap | {"at_most": 1200}, reset):
        room.sockets[-1].send(json.dumps(frame | {"ts": "2025"}))
    expect(page.locator(".notice p")).to_have_text(
        [
            "1 message from other parts of the room did not arrive here.",
            "Up to 1,200 messages from other parts of the room did not arrive here.",
            "The server has begun a new history. Messages may be missing here.",
        ]
    )
