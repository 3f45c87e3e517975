"""The instruments: the frames on the wire, and the server's health."""

import json
import re

from playwright.sync_api import expect

from tests.browser.conftest import OpenPage
from tests.browser.test_room import joined, say
from tests.live.server import Server


def test_frames_are_shown_as_they_were(server: Server, open_page: OpenPage) -> None:
    """The wire shows all frames unchanged, with their sizes; it can be filtered and paused."""
    server.create_topic("t")
    subscriber = server.subscriber("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    say(page, "hällo")
    expect(page.locator(".message.acknowledged")).to_have_count(1)
    event = subscriber.receive()
    frames = page.locator(".frame")
    expect(frames.locator("strong")).to_have_text(["subscribe", "ack", "publish", "ack"])
    sent = frames.nth(2).locator("code").inner_text()
    assert json.loads(sent)["message"] == event["message"]
    expect(frames.nth(2)).to_contain_text(f"{len(sent.encode())} B")
    page.get_by_label("Filter frames by text").fill("HÄLLO")
    expect(frames).to_have_count(1)
    page.get_by_label("Filter frames by text").fill("")
    page.get_by_label("Direction").select_option("Received")
    expect(frames).to_have_count(2)
    page.get_by_label("Direction").select_option("Both ways")
    expect(frames).to_have_count(4)
    page.evaluate("window.row = document.querySelector('.frame')")
    say(page, "more")
    expect(frames).to_have_count(6)
    assert page.evaluate("window.row === document.querySelector('.frame')")
    page.get_by_role("button", name="Pause").click()
    subscriber.publish("t", 1)
    expect(page.locator("#frame-count")).to_have_text("6 frames; paused, 1 frame skipped")
    page.get_by_role("button", name="Clear").click()
    expect(frames).to_have_count(0)


def test_raw_frames(server: Server, open_page: OpenPage) -> None:
    """The editor has a template for each of four messages, and sends any other text as typed."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    editor = page.get_by_label("Raw frame")
    for kind, answer in [
        ("subscribe", '"type":"ack","request_id":"raw-1","topic":"t"'),
        ("publish", '"type":"ack","request_id":"raw-2","topic":"t"'),
        ("ping", '"type":"pong","request_id":"raw-3"'),
        ("unsubscribe", '"type":"ack","request_id":"raw-4","topic":"t"'),
    ]:
        page.get_by_role("button", name=kind, exact=True).click()
        assert json.loads(editor.input_value())["type"] == kind
        page.get_by_role("button", name="Send frame").click()
        expect(page.locator(".frame code").last).to_contain_text(answer)
    editor.fill("nonsense")
    editor.press("Control+Enter")
    expect(page.locator(".frame code").last).to_contain_text("BAD_REQUEST")


def test_health(server: Server, open_page: OpenPage) -> None:
    """Figures and charts are readable as text, and updated only while the page is visible."""
    server.create_topic("t")
    server.subscriber("t")
    page = open_page(server)
    page.get_by_role("tab", name="Health").click()
    expect(page.locator("#figures")).to_contain_text(re.compile(r"Uptime\d.*Rooms1Subscriptions1"))
    for title in ("Messages in", "Deliveries out", "Drops"):
        expect(page.get_by_role("img", name=title)).to_have_accessible_name(
            re.compile(f"{title}: now [0-9.,]+/s, peak")
        )
    expect(page.get_by_role("img", name="Clients: now 2")).to_be_visible()
    requests: list[str] = []
    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", {configurable: true, get: () => true});
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    page.wait_for_load_state("networkidle")
    page.on("request", lambda request: requests.append(request.url))
    page.clock.install()
    page.clock.run_for(60_000)
    assert requests == []
    page.evaluate("delete document.hidden")
    with page.expect_request("**/stats"):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
