"""`chatroom.js` by itself, in a page with nothing else on it."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.conftest import OpenPage
from tests.live.server import Server

GUIDE = Path(__file__).parents[2] / "docs" / "client.md"

PAGE = """<!doctype html><title>Test</title><script type="module">
import * as chatroom from "http://localhost:9090/static/pubsub/console/chatroom.js";
window.chatroom = chatroom;
window.log = [];
window.start = (options) => {
    window.room = chatroom.connect("ws://localhost:9090/ws", options);
    for (const type of ["state", "notice", "refusal"]) {
        room.addEventListener(type, ({detail}) => {
            log.push([type, detail.state ?? detail.kind ?? detail.code]);
        });
    }
    return new Promise((done) => {
        room.addEventListener("state", ({detail}) => detail.state === "open" && done());
    });
};
window.outcome = (promise) => promise.then(
    (value) => ({value}),
    ({name, code, message, unknownFate}) => ({name, code, message, unknownFate}));
</script>"""


class Site:
    """Somebody else's site with one page, on another origin than the chat room."""

    def __init__(self) -> None:
        self.html = ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(site.html.encode())

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        return Handler

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One site for all tests."""
    site = Site()
    yield site
    site.close()


@pytest.fixture
def client(server: Server, site: Site, open_page: OpenPage) -> Page:
    """A page with the module in `chatroom`, and `start` to connect."""
    site.html = PAGE.replace("localhost:9090", f"127.0.0.1:{server.port}")
    return open_page(site)


@pytest.fixture
def fake(client: Page) -> Callable[..., list[WebSocketRoute]]:
    """Answers the page's WebSockets with functions, in place of a server."""

    def install(*handlers: Callable[[WebSocketRoute], Any]) -> list[WebSocketRoute]:
        sockets: list[WebSocketRoute] = []

        def on_socket(socket: WebSocketRoute) -> None:
            sockets.append(socket)
            handlers[min(len(sockets), len(handlers)) - 1](socket)

        client.route_web_socket("**/ws", on_socket)
        client.reload()
        return sockets

    return install


def silent(socket: WebSocketRoute) -> None:
    """Take everything and say nothing."""
    socket.on_message(lambda message: None)


def test_commands(server: Server, client: Page) -> None:
    """Each is settled by its own answer, or by the server's refusal."""
    server.create_topic("t")
    client.evaluate("start()")
    ack = client.evaluate("room.subscribe('t', {onEvent: (event) => window.event = event})")
    assert (ack["type"], ack["topic"]) == ("ack", "t")
    publisher = server.connect()
    publisher.publish("t", {"n": 1})
    client.wait_for_function("window.event")
    assert client.evaluate("event.message.payload") == {"n": 1}
    assert client.evaluate("outcome(room.publish('t', null))")["value"]["status"] == "ok"
    assert client.evaluate("room.ping()") >= 0
    assert client.evaluate("outcome(room.publish('missing', 1))") == {
        "name": "ChatError",
        "code": "TOPIC_NOT_FOUND",
        "message": "topic does not exist",
        "unknownFate": False,
    }
    assert client.evaluate("outcome(room.subscribe('missing'))")["code"] == "TOPIC_NOT_FOUND"
    assert client.evaluate("room.topics") == ["t"]
    assert client.evaluate("room.unsubscribe('t')")["status"] == "ok"
    assert client.evaluate("outcome(room.unsubscribe('t'))")["code"] == "NOT_SUBSCRIBED"
    client.evaluate("room.sendRaw('nonsense')")
    client.wait_for_function("log.some(([type, what]) => what === 'BAD_REQUEST')")


def test_subscribing_before_there_is_a_connection(server: Server, client: Page) -> None:
    """It waits; publishing does not."""
    server.create_topic("t")
    result = client.evaluate(
        """async () => {
            start();
            const published = outcome(room.publish("t", 1));
            return [await outcome(room.subscribe("t")), await published];
        }"""
    )
    assert result[0]["value"]["type"] == "ack"
    assert result[1]["code"] == "NOT_CONNECTED"


def test_publication_under_way(client: Page, fake: Callable[..., list[WebSocketRoute]]) -> None:
    """Its fate is unknown when the connection breaks, and it is not sent again."""
    sent: list[str | bytes] = []
    sockets = fake(lambda socket: socket.on_message(lambda message: sent.append(message)))
    client.evaluate("start({minDelay: 1})")
    client.evaluate("window.result = outcome(room.publish('t', 1)), undefined")
    sockets[0].close(code=1011)
    result = client.evaluate("result")
    assert (result["code"], result["unknownFate"]) == ("CONNECTION_LOST", True)
    client.wait_for_function("room.state === 'open'")
    assert len(sent) == 1


def test_close_codes(client: Page) -> None:
    """3500 to 3999 end it, all others do not."""
    client.route_web_socket(
        re.compile(r"/ws\?code="),
        lambda socket: socket.close(code=int(socket.url.rpartition("=")[2]), reason="x"),
    )
    client.reload()
    comes_back = client.evaluate(
        """(codes) => Promise.all(codes.map((code) => new Promise((done) => {
            const room = chatroom.connect(`ws://localhost/ws?code=${code}`, {minDelay: 1});
            room.addEventListener("state", ({detail: {state}}) => {
                if (state === "closed" || state === "waiting") done(state === "waiting");
                if (state === "waiting") room.close();
            });
        })))""",
        [1000, 1009, 1011, 3001, 3499, 3500, 3501, 3999, 4000],
    )
    assert comes_back == [True, True, True, True, True, False, False, False, True]


def test_closing(server: Server, client: Page) -> None:
    """It stays closed, until it is told otherwise; what was asked for is refused."""
    server.create_topic("t")
    client.evaluate("start()")
    client.evaluate("room.subscribe('t')")
    client.evaluate("room.close()")
    assert client.evaluate("room.state") == "closed"
    assert client.evaluate("outcome(room.publish('t', 1))")["code"] == "NOT_CONNECTED"
    assert client.evaluate("outcome(room.subscribe('u'))")["code"] == "NOT_CONNECTED"
    client.evaluate("room.reconnect()")
    client.wait_for_function("log.some(([type, what]) => what === 'gap')")
    assert client.evaluate("[room.state, room.topics]") == ["open", ["t"]]


def test_closing_on_hearing_of_the_connection(client: Page) -> None:
    """Nothing is left that would come back later."""
    client.clock.install()
    client.route_web_socket("**/ws", silent)
    client.reload()
    client.evaluate(
        """async () => {
            const opened = start();
            room.addEventListener("state", ({detail}) => detail.state === "open" && room.close());
            await opened;
        }"""
    )
    client.clock.run_for(120_000)
    assert client.evaluate("log.at(-1)") == ["state", "closed"]


def test_subscribing_on_hearing_of_the_connection(
    client: Page, fake: Callable[..., list[WebSocketRoute]]
) -> None:
    """The server is asked once."""
    fake(silent)
    commands = client.evaluate(
        """async () => {
            const commands = [];
            const opened = start();
            room.addEventListener("frame", ({detail}) => commands.push(JSON.parse(detail.text)));
            room.addEventListener("state", ({detail}) => {
                if (detail.state === "open") room.subscribe("t");
            });
            await opened;
            return commands;
        }"""
    )
    assert [command["type"] for command in commands] == ["subscribe"]


def test_subscribing_in_vain(client: Page, fake: Callable[..., list[WebSocketRoute]]) -> None:
    """What waits for a connection is refused when there will be none."""
    fake(lambda socket: socket.close(code=3503))
    refused = client.evaluate("start(), outcome(room.subscribe('t'))")
    assert refused["code"] == "NOT_CONNECTED"
    assert client.evaluate("room.topics") == []


def test_news_of_an_earlier_subscription(
    client: Page, fake: Callable[..., list[WebSocketRoute]]
) -> None:
    """What comes before the ack belongs to a subscription that was ended."""

    def answer(socket: WebSocketRoute) -> None:
        def on_message(text: str | bytes) -> None:
            request = json.loads(text)["request_id"]
            message = {"id": "1", "payload": None}
            for frame in (
                {"type": "event", "topic": "t", "message": message, "ts": "2025"},
                {"type": "info", "topic": "t", "msg": "topic_deleted"},
                {"type": "ack", "topic": "t", "request_id": request},
            ):
                socket.send(json.dumps(frame))

        socket.on_message(on_message)

    fake(answer)
    client.evaluate("start()")
    heard = """async () => {
        const heard = [];
        const callbacks = {onEvent: (e) => heard.push(e), onNotice: (n) => heard.push(n)};
        const ack = await room.subscribe("t", callbacks);
        return [ack.type, heard, room.topics];
    }"""
    assert client.evaluate(heard) == ["ack", [], ["t"]]


def test_delays_grow_and_are_random(
    client: Page, fake: Callable[..., list[WebSocketRoute]]
) -> None:
    """Up to a bound that doubles with every failure, and has an end."""
    fake(lambda socket: socket.close(code=3008))
    client.evaluate(
        """() => {
            window.delays = [];
            Math.random = () => 1;
            const {setTimeout} = window;
            window.setTimeout = (action, delay) => (delays.push(delay), setTimeout(action, 0));
            start({minDelay: 100, maxDelay: 1000});
        }"""
    )
    client.wait_for_function("delays.filter((d) => d !== 25000).length > 6")
    client.evaluate("room.close()")
    delays = client.evaluate("delays.filter((d) => d !== 25000)")
    assert delays[:6] == [100, 200, 400, 800, 1000, 1000]


def test_silence(client: Page, fake: Callable[..., list[WebSocketRoute]]) -> None:
    """A connection on which nothing answers is given up, also when no ping can be sent."""
    sockets = fake(silent)
    client.evaluate("start({minDelay: 1, idle: 20, patience: 20, maxInFlight: 1})")
    client.evaluate("outcome(room.publish('t', 1)), undefined")
    client.wait_for_function("log.filter(([type, what]) => what === 'open').length > 1")
    assert len(sockets) > 1
    client.evaluate("room.close()")


def test_bounds(client: Page, fake: Callable[..., list[WebSocketRoute]]) -> None:
    """Commands without an answer do not pile up."""
    fake(silent)
    client.evaluate("start({maxInFlight: 2})")
    client.evaluate("room.ping(), room.ping(), 0")
    assert client.evaluate("outcome(room.ping())")["code"] == "TOO_MANY_IN_FLIGHT"


def test_slow_and_deleted(server: Server, client: Page) -> None:
    """Notices reach the subscription and the object."""
    server.create_topic("t")
    client.evaluate("start()")
    client.evaluate("room.subscribe('t', {onNotice: (notice) => window.notice = notice})")
    server.request("DELETE", "/topics/t")
    client.wait_for_function("window.notice")
    assert client.evaluate("[notice.kind, notice.topic, room.topics.length]") == ["deleted", "t", 0]
    assert ["notice", "deleted"] in client.evaluate("log")


def test_ids_without_a_secure_context(client: Page) -> None:
    """`crypto.randomUUID` is missing on http://192.168…; the ids are still UUIDs of version 4."""
    identifier = client.evaluate("crypto.randomUUID = undefined, chatroom.newId()")
    form = r"[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}"
    assert re.fullmatch(form, identifier)
    assert identifier != client.evaluate("chatroom.newId()")


def test_example_of_the_guide(server: Server, site: Site, open_page: OpenPage) -> None:
    """The page in docs/client.md does what it says."""
    server.create_topic("orders", history=10)
    server.request("POST", "/topics/orders/messages", {"payload": {"order_id": "ORD-1"}})
    example = re.search(r"```html\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert example
    site.html = example[1].replace("localhost:9090", f"127.0.0.1:{server.port}")
    page = open_page(site)
    items = page.locator("#orders li")
    expect(items).to_have_text(["state: open", '{"order_id":"ORD-1"}'])
    page.get_by_role("button").click()
    expect(items.last).to_have_text("sent: ok")
    server.request("DELETE", "/topics/orders")
    expect(items.last).to_have_text("notice: deleted")
    page.get_by_role("button").click()
    expect(items.last).to_have_text("not sent: TOPIC_NOT_FOUND")
