"""axe-core finds nothing in either theme, on a desktop or a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_room import joined, say
from tests.live.server import Server

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def check(page: Page) -> None:
    """Run all rules of axe-core but the experimental ones; the page must not scroll sideways."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        report = Axe().run(page, options={"resultTypes": ["violations"]})
        assert report.violations_count == 0, f"{theme}: {report.generate_report()}"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_room(server: Server, open_page: OpenPage, viewport: dict[str, int]) -> None:
    """A conversation with every kind of entry is accessible, with all instruments and dialogs."""
    server.create_topic("t", presence=True)
    server.create_topic("other")
    page = open_page(server, "/#t", viewport=viewport)
    joined(page, "t")
    say(page, "Hello")
    say(page, "x" * 70_000)
    expect(page.locator(".message.refused")).to_have_count(1)
    publisher = server.connect()
    for number, name in enumerate(["Ann", "Boris", "Clara", "Dan", "Eve", "Fay", "Gus", "Ида"]):
        publisher.publish("t", {"name": name, "text": f"number {number}"})
    publisher.publish("t", {"total": 99.5})
    expect(page.locator("#messages pre")).to_have_count(1)
    page.locator("#members summary").click()
    if viewport is DESK:
        page.locator(".frame").first.click()
        page.get_by_label("Find or create a room").fill("new")
        page.get_by_text("Options").click()
    check(page)
    server.request("DELETE", "/topics/t")
    expect(page.locator(".notice")).to_have_count(1)
    for view in ("wire", "rooms", "health") if viewport is PHONE else ("health",):
        page.locator(f".views [data-view={view}], #tab-{view}").locator("visible=true").click()
        if view == "wire":
            page.locator(".frame").first.click()
        check(page)
    page.locator("#help").click()
    check(page)


def test_nothing_there_yet(server: Server, open_page: OpenPage) -> None:
    """The page is accessible before there is any room."""
    page = open_page(server, viewport=DESK)
    expect(page.locator("#welcome-title")).to_have_text("No rooms yet")
    check(page)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_reference(server: Server, open_page: OpenPage, viewport: dict[str, int]) -> None:
    """The WebSocket reference is accessible."""
    check(open_page(server, "/docs/ws", viewport=viewport))


def test_theme_is_chosen_and_kept(server: Server, open_page: OpenPage) -> None:
    """The button changes from the system's theme to light to dark; other pages follow."""
    page = open_page(server, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Theme: system").click()
    light = page.evaluate(background)
    assert light != dark
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) == dark
    page.goto(f"http://127.0.0.1:{server.port}/docs/ws")
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
