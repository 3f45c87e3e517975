"""`chatroom.js` where no WebSocket can be opened: server-sent events and REST."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.auth.support import token
from tests.browser import test_client
from tests.browser.conftest import OpenPage
from tests.browser.test_client import PAGE, Site
from tests.browser.test_recovery import FOLLOW, heard
from tests.browser.test_room import joined, say
from tests.live.server import Server

open_server, server, site = test_client.open_server, test_client.server, test_client.site

BLOCKED = """
window.blocked = true;
window.handshakes = 0;
const Real = WebSocket;
window.WebSocket = class {
    constructor(url, protocols) {
        handshakes += 1;
        if (!blocked) return new Real(url, protocols);
        setTimeout(() => this.onclose?.({code: 1006, reason: ""}));
    }
    close() {}
};
"""


@pytest.fixture
def client(server: Server, site: Site, open_page: OpenPage) -> Page:
    """Open a page with `chatroom.js`, whose WebSockets fail until `blocked` is false."""
    site.html = PAGE.replace("localhost:9090", f"127.0.0.1:{server.port}")
    page = open_page(site)
    page.add_init_script(BLOCKED)
    page.reload()
    return page


def test_commands(server: Server, client: Page, complaints: list[str]) -> None:
    """After two failed handshakes, every command works over REST."""
    server.create_topic("t", history=10)
    reader = server.subscriber("t")
    client.evaluate("start({minDelay: 1})")
    assert client.evaluate("[room.transport, handshakes]") == ["sse", 2]
    assert client.evaluate(FOLLOW, "t")["type"] == "ack"
    ack = client.evaluate("room.publish('t', 'mine', {once: true})")
    assert (ack["status"], ack["offset"]) == ("ok", 1)
    assert reader.receive()["message"]["payload"] == "mine"
    reader.publish("t", "others'")
    assert heard(client, 1) == [["others'", False]]  # its own message is not among them
    past = client.evaluate("room.history('t', {limit: 1})")
    assert [kept["message"]["payload"] for kept in past["messages"]] == ["others'"]
    assert client.evaluate("room.ping()") >= 0
    for command in ("publish('missing', 1)", "subscribe('missing')", "history('missing')"):
        refused = client.evaluate(f"outcome(room.{command})")
        assert (refused["code"], refused["unknownFate"]) == ("TOPIC_NOT_FOUND", False)
    raw = "() => { try { room.sendRaw('x') } catch (error) { return error.code } }"
    assert client.evaluate(raw) == "NEEDS_WEBSOCKET"
    assert client.evaluate("room.unsubscribe('t')")["status"] == "ok"
    assert client.evaluate("room.topics") == []
    complaints[:] = [text for text in complaints if "status of 404" not in text]


def test_topics_change(server: Server, client: Page) -> None:
    """Nothing is lost or repeated while the stream is replaced, with history or without."""
    topics = [server.create_topic("kept", history=100), server.create_topic("plain")]
    for number in range(4):
        server.create_topic(f"more-{number}")
    publisher = server.connect()
    client.evaluate("start({minDelay: 1})")
    for topic in topics:
        client.evaluate(FOLLOW, topic)
    for number in range(40):
        if number % 10 == 0:
            change = f"room.subscribe('more-{number // 10}')"
            client.evaluate(f"() => {{ window.change = {change}; }}")
        for topic in topics:
            publisher.publish(topic, [topic, number])
        if number % 10 == 5:
            client.evaluate("change")
    publisher.publish("kept", "end")
    client.wait_for_function("heard.some(([payload]) => payload === 'end')")
    client.wait_for_function("heard.filter(([[topic]]) => topic === 'plain').length >= 40")
    for topic in topics:
        numbers = f"heard.filter(([[of]]) => of === '{topic}').map(([[, number]]) => number)"
        assert client.evaluate(numbers) == list(range(40))
    assert client.evaluate("heard.filter(([what]) => typeof what === 'string').length") == 1
    server.request("DELETE", "/topics/plain")
    client.wait_for_function("heard.at(-1)[0] === 'deleted'")
    assert len(client.evaluate("room.topics")) == 5


def test_return_to_the_websocket(server: Server, client: Page) -> None:
    """When a WebSocket works again, the client returns to it and recovers what it has missed."""
    server.create_topic("t", history=10)
    publisher = server.connect()
    client.clock.install()
    client.evaluate("start({minDelay: 0, idle: 1e9})")
    client.evaluate(FOLLOW, "t")
    client.clock.run_for(180_000)
    client.wait_for_function("handshakes === 3")
    assert client.evaluate("room.transport") == "sse"
    client.evaluate("() => { blocked = false; }")
    client.clock.run_for(180_000)
    client.wait_for_function("room.transport === 'websocket'")
    client.evaluate("room.ping()")
    publisher.publish("t", "live")
    assert heard(client, 1) == [["live", False]]


def test_stream_that_breaks(server: Server, client: Page) -> None:
    """After a lost stream, the missed messages follow; without a server, both ways are tried."""
    server.create_topic("t", history=10)
    publisher = server.connect()
    client.evaluate("start({minDelay: 1})")
    client.evaluate(FOLLOW, "t")
    client.evaluate(
        "() => { window.fetch_ = fetch; fetch = async () => { throw new TypeError(); } }"
    )
    client.evaluate("outcome(room.ping())")
    client.wait_for_function("handshakes > 3")
    publisher.publish("t", "missed")
    client.evaluate("() => { fetch = fetch_; }")
    assert heard(client, 2) == [["recovered", 1], ["missed", True]]
    assert client.evaluate("room.transport") == "sse"


def test_page(server: Server, open_page: OpenPage) -> None:
    """The page shows how it is connected, and works the same."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    expect(page.locator("#connection")).to_have_text(re.compile("Connected\\s+WebSocket\\s"))
    page.add_init_script(BLOCKED)
    page.reload()
    joined(page, "t")
    expect(page.locator("#connection")).to_have_text(re.compile("Connected\\s+SSE\\s"))
    say(page, "Hello")
    expect(page.locator(".message.acknowledged")).to_have_count(1)
    server.connect().publish("t", {"name": "Boris", "text": "Hi"})
    expect(page.locator("#messages .text")).to_have_text(["Hello", "Hi"])
    page.get_by_label("Raw frame").fill("{}")
    page.get_by_role("button", name="Send frame").click()
    expect(page.locator("#editor-result")).to_contain_text("there is no WebSocket")


def test_tokens(guarded_server: Server, site: Site, open_page: OpenPage) -> None:
    """A token is sent with every request, renewed in place, and judged when the client connects."""
    site.html = PAGE.replace("localhost:9090", f"127.0.0.1:{guarded_server.port}")
    page = open_page(site)
    page.add_init_script(BLOCKED)
    page.reload()
    rights = {"subscribe": ["own"], "publish": ["own"]}
    page.evaluate("(token) => start({minDelay: 1, token})", token("42", **rights))
    assert page.evaluate(FOLLOW, "own")["type"] == "ack"
    assert page.evaluate("outcome(room.subscribe('other'))")["code"] == "FORBIDDEN"
    bad, good = token(secret="x" * 32), token("42", subscribe=["*"], publish=["*"])
    renew = "(token) => outcome(room.setToken(token))"
    assert page.evaluate(renew, bad)["code"] == "UNAUTHORIZED"
    assert page.evaluate(renew, good)["value"]["status"] == "ok"
    assert page.evaluate("room.subscribe('other')")["type"] == "ack"
    other = guarded_server.connect(headers={"Authorization": f"Bearer {token(**rights)}"})
    other.publish("own", "news")
    assert heard(page, 1) == [["news", False]]
    page.evaluate("room.close()")
    for text, state in ((bad, "closed"), (token(ttl=-100), "closed"), (good, "open")):
        page.evaluate("(token) => { start({minDelay: 1, token}); }", text)
        page.wait_for_function("(state) => room.state === state", arg=state)


def test_presence(server: Server, client: Page) -> None:
    """The members are requested when a subscription begins, and from time to time."""
    server.create_topic("t", presence=True)
    client.clock.install()
    client.evaluate("start({minDelay: 0, idle: 1e9})")
    client.evaluate("room.subscribe('t', {presence: true, onPresence: (p) => window.there = p})")
    client.wait_for_function("window.there?.members.length === 1")
    server.subscriber("t")
    client.clock.run_for(10_000)
    client.wait_for_function("there.members.length === 2")
