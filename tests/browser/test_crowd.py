"""A room with more messages than anyone can read."""

import re

from playwright.sync_api import Route, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_room import joined, say
from tests.live.client import UUID
from tests.live.server import Server

MANY = 10_000
SETTLED = "() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"


def test_ten_thousand_messages(server: Server, open_page: OpenPage) -> None:
    """The page stays responsive, and both its document and its memory are bounded."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    publisher = server.connect()

    def publish(first: int, last: int) -> None:
        publisher.send_all(
            [
                {
                    "type": "publish",
                    "topic": "t",
                    "message": {"id": UUID, "payload": {"name": "Bot", "text": f"number {n}"}},
                }
                for n in range(first, last)
            ]
        )
        for _ in range(first, last):
            publisher.receive()
        expect(page.locator("#messages .text").last).to_have_text(f"number {last - 1}")

    def heap() -> int:
        debugger.send("HeapProfiler.collectGarbage")
        return int(debugger.send("Runtime.getHeapUsage")["usedSize"])

    debugger = page.context.new_cdp_session(page)
    page.locator(".frame").first.click()
    step = 200  # fewer than the server queues for one client
    for first in range(0, 3000, step):
        publish(first, first + step)
    before = heap()
    for first in range(3000, MANY, step):
        publish(first, first + step)
    assert heap() < before + 1_000_000
    assert page.locator("#messages > li").count() <= 200
    assert page.locator(".frame").count() < 60
    expect(page.locator("#frame-count")).to_have_text("500 frames (the latest 500)")
    assert page.evaluate("document.querySelectorAll('*').length") < 3000
    page.get_by_role("button", name="Edit and send").click()  # of a discarded frame
    expect(page.get_by_label("Raw frame")).to_have_value(re.compile('"type":"subscribe"'))
    say(page, "still here")
    expect(page.locator(".message.acknowledged")).to_have_count(1)


def test_long_names(server: Server, open_page: OpenPage) -> None:
    """Names count towards the size limit of a room's history, as texts do."""
    page = open_page(server)
    kept = page.evaluate(
        """async () => {
            const {History} = await import("/static/pubsub/console/history.js");
            const history = new History();
            for (let n = 0; n < 200; n += 1) history.add({name: "x".repeat(60_000), text: ""});
            return [history.end, history.end - history.first];
        }"""
    )
    assert kept[0] == 200
    assert kept[1] < 70


def test_reading_back(server: Server, open_page: OpenPage) -> None:
    """A user who scrolls up stays there, sees older messages, and is notified of new ones."""
    server.create_topic("t", history=1000)
    for number in range(300):
        server.request(
            "POST", "/topics/t/messages", {"payload": {"name": "Bot", "text": f"number {number}"}}
        )
    page = open_page(server, "/#t")
    # The page asks for the latest 100 messages, although the server keeps more.
    expect(page.locator("#messages .text").last).to_have_text("number 299")
    scroller = page.locator("#messages-scroll")
    scroller.evaluate("node => { node.scrollTop = 0; }")
    expect(page.locator("#messages .text").first).to_have_text("number 200")
    expect(page.locator("#newest")).to_have_text("Jump to latest ↓")
    position = "node => node.getBoundingClientRect().top"
    seen = page.get_by_text("number 230", exact=True)
    seen.scroll_into_view_if_needed()
    page.evaluate(SETTLED)
    before = seen.evaluate(position)
    publisher = server.connect()
    publisher.publish("t", {"name": "Bot", "text": "news"})
    publisher.publish("t", {"name": "Bot", "text": "more"})
    expect(page.locator("#newest")).to_have_text("2 new messages ↓")
    assert seen.evaluate(position) == before
    expect(page).to_have_title(re.compile(r"^\(2\)"))
    page.locator("#newest").click()
    expect(page.locator("#messages .text").last).to_be_in_viewport()
    expect(page.locator("#newest")).to_be_hidden()
    expect(page).to_have_title("#t · Chat room")


def test_more_rooms_than_a_page_has(server: Server, open_page: OpenPage) -> None:
    """The page follows the server's pages, so that the field finds every room."""
    for number in range(1001):
        server.create_topic(f"room-{number:04}")
    page = open_page(server)
    expect(page.locator("#room-lists .hint")).to_have_text("801 more rooms. Type to find one.")
    page.get_by_label("Find or create a room").fill("1000")
    expect(page.locator(".room-link")).to_have_count(1)
    expect(page.locator(".room-link .room-name")).to_have_text("room-1000")


def test_more_rooms_than_the_page_asks_for(
    server: Server, open_page: OpenPage, complaints: list[str]
) -> None:
    """Rooms beyond the last page that is requested are counted, and opened by name."""
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        stats = server.request("GET", "/stats")[1]
        cut = {"truncated": True, "next": "x", "total": 12_345}
        counters = {"messages": 0, "subscribers": 0, "delivered": 0, "dropped": 0}
        route.fulfill(json={**stats, "topics": {f"room-{len(asked)}": counters}, **cut})

    server.create_topic("unlisted")
    page = open_page(server, "/docs/ws")
    page.route("**/stats*", answer)
    page.goto(f"http://127.0.0.1:{server.port}/")
    expect(page.locator("#room-lists .hint")).to_have_text("12,335 more rooms. Type to find one.")
    page.get_by_label("Find or create a room").fill("unlisted")
    page.keyboard.press("Enter")
    joined(page, "unlisted")
    page.unroute_all(behavior="ignoreErrors")
    # The page cannot know that the room exists, so it tries to create it.
    complaints[:] = [text for text in complaints if "status of 409" not in text]
