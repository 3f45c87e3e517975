"""The module `chatroom.js` on an otherwise empty page."""

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
from tests.live.server import Server, running_server

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
    """A third-party site with one page, on a different origin from the chat room."""

    def __init__(self) -> None:
        self.html = ""
        self.token = ""
        """What this site answers at `/chat-token`."""
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
                body = site.token if self.path == "/chat-token" else site.html
                self.wfile.write(body.encode())

            def log_message(self, *args: Any) -> None:
                """Log nothing."""

        return Handler

    def close(self) -> None:
        """Stop the server and its thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture(scope="module")
def open_server() -> Iterator[Server]:
    """A server that pages of other origins may use."""
    with running_server(CHATROOM_ALLOWED_ORIGINS="*") as server:
        yield server


@pytest.fixture
def server(open_server: Server) -> Iterator[Server]:
    """That server, cleared of topics and clients after each test."""
    yield open_server
    open_server.clear()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Serve one site for all tests."""
    site = Site()
    yield site
    site.close()


@pytest.fixture
def client(server: Server, site: Site, open_page: OpenPage) -> Page:
    """Open a page with the module as `chatroom` and a function `start` that connects."""
    site.html = PAGE.replace("localhost:9090", f"127.0.0.1:{server.port}")
    return open_page(site)


@pytest.fixture
def fake(client: Page) -> Callable[..., list[WebSocketRoute]]:
    """Return a function that answers the page's WebSockets instead of the server."""

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
    """Accept every message and answer none."""
    socket.on_message(lambda message: None)


def test_commands(server: Server, client: Page) -> None:
    """Each command settles with its own reply or with the server's error."""
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
    """Subscribing waits for a connection; publishing fails immediately."""
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


def test_publication_in_flight(client: Page, fake: Callable[..., list[WebSocketRoute]]) -> None:
    """A publication in flight has an unknown fate if the connection breaks, and is not resent."""
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
    """Close codes from 3500 to 3999 stop reconnection; all others do not."""
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
        [1000, 1009, 1011, 3001, 3005, 3013, 3499, 4000, 3500, 3501, 3502, 3503, 3504, 3999],
    )
    assert comes_back == [True] * 8 + [False] * 6


def test_closing(server: Server, client: Page) -> None:
    """A closed client refuses commands until `reconnect()`, which restores its subscriptions."""
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


def test_closing_when_the_connection_opens(client: Page) -> None:
    """A client closed by its own `state` listener leaves no timer that would reopen it."""
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


def test_subscribing_when_the_connection_opens(
    client: Page, fake: Callable[..., list[WebSocketRoute]]
) -> None:
    """A subscription made in a `state` listener is sent once."""
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


def test_rejected_subscription(client: Page, fake: Callable[..., list[WebSocketRoute]]) -> None:
    """A pending subscription is rejected if the server forbids reconnection."""
    fake(lambda socket: socket.close(code=3503))
    refused = client.evaluate("start(), outcome(room.subscribe('t'))")
    assert refused["code"] == "NOT_CONNECTED"
    assert client.evaluate("room.topics") == []


def test_messages_for_an_earlier_subscription(
    client: Page, fake: Callable[..., list[WebSocketRoute]]
) -> None:
    """Messages before the ack belong to an earlier, ended subscription and are ignored."""

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
    """The upper bound of the random delay doubles with every failure, up to a maximum."""
    fake(lambda socket: socket.close(code=3008))
    client.evaluate(
        """() => {
            window.delays = [];
            Math.random = () => 1;
            const {setTimeout} = window;
            window.setTimeout = (action, delay) => {
                if (delay === 25_000 || delay === 10_000) return setTimeout(action, delay);
                delays.push(delay);
                return setTimeout(action, 0);
            };
            start({minDelay: 100, maxDelay: 1000});
        }"""
    )
    client.wait_for_function("delays.length > 6")
    client.evaluate("room.close()")
    delays = client.evaluate("delays")
    assert delays[:6] == [100, 200, 400, 800, 1000, 1000]


def shutting_down(socket: WebSocketRoute, milliseconds: object) -> None:
    """Announce a shutdown and close the connection."""
    notice = {"type": "info", "msg": "shutdown", "reconnect_in_ms": milliseconds, "ts": "2025"}
    socket.send(json.dumps(notice))
    socket.close(code=3001, reason="shutdown")


def test_server_that_says_when_to_come_back(
    client: Page, fake: Callable[..., list[WebSocketRoute]]
) -> None:
    """A stopping server determines the next delay, within bounds; then the backoff goes on."""
    asked = [1730, 10**9, -1, "soon", None]
    fake(
        *[lambda socket, each=each: shutting_down(socket, each) for each in asked],
        lambda socket: socket.close(code=3001),
    )
    client.evaluate(
        """() => {
            window.delays = [];
            Math.random = () => 1;
            const {setTimeout} = window;
            window.setTimeout = (action, delay) => {
                if (delay === 25_000 || delay === 10_000) return setTimeout(action, delay);
                delays.push(delay);
                return setTimeout(action, 0);
            };
            start({minDelay: 1, maxDelay: 10});
        }"""
    )
    client.wait_for_function("delays.length > 6")
    client.evaluate("room.close()")
    delays = client.evaluate("delays")
    assert delays[:6] == [1730, 120_000, 4, 8, 10, 10]


def test_silence(client: Page, fake: Callable[..., list[WebSocketRoute]]) -> None:
    """A silent connection is abandoned, even if no ping can be sent on it."""
    sockets = fake(silent)
    client.evaluate("start({minDelay: 1, idle: 20, patience: 20, maxInFlight: 1})")
    client.evaluate("outcome(room.publish('t', 1)), undefined")
    client.wait_for_function("log.filter(([type, what]) => what === 'open').length > 1")
    assert len(sockets) > 1
    client.evaluate("room.close()")


def test_bounds(client: Page, fake: Callable[..., list[WebSocketRoute]]) -> None:
    """The number of unanswered commands is limited."""
    fake(silent)
    client.evaluate("start({maxInFlight: 2})")
    client.evaluate("room.ping(), room.ping(), 0")
    assert client.evaluate("outcome(room.ping())")["code"] == "TOO_MANY_IN_FLIGHT"


def test_deleted_topic(server: Server, client: Page) -> None:
    """A notice of a deleted topic reaches the subscription and the `ChatRoom`."""
    server.create_topic("t")
    client.evaluate("start()")
    client.evaluate("room.subscribe('t', {onNotice: (notice) => window.notice = notice})")
    server.request("DELETE", "/topics/t")
    client.wait_for_function("window.notice")
    assert client.evaluate("[notice.kind, notice.topic, room.topics.length]") == ["deleted", "t", 0]
    assert ["notice", "deleted"] in client.evaluate("log")


def test_ids_without_a_secure_context(client: Page) -> None:
    """Ids are version 4 UUIDs even on http://192.168…, where `crypto.randomUUID` is missing."""
    identifier = client.evaluate("crypto.randomUUID = undefined, chatroom.newId()")
    form = r"[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}"
    assert re.fullmatch(form, identifier)
    assert identifier != client.evaluate("chatroom.newId()")


def test_example_of_the_guide(server: Server, site: Site, open_page: OpenPage) -> None:
    """The example page in docs/client.md works as written."""
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
