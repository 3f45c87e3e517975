"""What axe-core finds, in either theme, on a desk and on a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_room import joined, say
from tests.live.server import Server

DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def check(page: Page) -> None:
    """Ask axe-core for everything but its experiments."""
    report = Axe().run(page)
    assert report.violations_count == 0, report.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_room(server: Server, open_page: OpenPage, theme: str, viewport: dict[str, int]) -> None:
    """Empty, in the middle of a conversation with everything in it, and with dialogs."""
    page = open_page(server, color_scheme=theme, viewport=viewport, reduced_motion="reduce")
    expect(page.locator("#welcome-title")).to_have_text("No rooms yet")
    check(page)
    server.create_topic("t")
    server.create_topic("other")
    page.evaluate("location.hash = '#t'")
    joined(page, "t")
    say(page, "Hello")
    say(page, "x" * 70_000)
    expect(page.locator(".message.refused")).to_have_count(1)
    publisher = server.connect()
    for number, name in enumerate(["Ann", "Boris", "Clara", "Dan", "Eve", "Fay", "Gus", "Ида"]):
        publisher.publish("t", {"name": name, "text": f"number {number}"})
    publisher.publish("t", {"total": 99.5})
    expect(page.locator("#messages pre")).to_have_count(1)
    check(page)
    for view in ("rooms", "wire", "health"):
        if viewport is PHONE:
            page.locator(f".views [data-view={view}]").click()
        elif view != "rooms":
            page.locator(f"#tab-{view}").click()
        if view == "wire":
            page.locator(".frame").first.click()
        check(page)
    page.locator("#help").click()
    check(page)
    page.keyboard.press("Escape")
    server.request("DELETE", "/topics/t")
    expect(page.locator(".notice")).to_have_count(1)
    check(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_reference(server: Server, open_page: OpenPage, theme: str) -> None:
    """The page beside the room."""
    page = open_page(server, "/docs/ws", color_scheme=theme, viewport=PHONE)
    check(page)
    page.set_viewport_size({"width": DESK["width"], "height": DESK["height"]})
    check(page)


def test_theme_is_chosen_and_kept(server: Server, open_page: OpenPage) -> None:
    """From what the system says to light, to dark, and on the next page as well."""
    page = open_page(server, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Theme: as the system").click()
    light = page.evaluate(background)
    assert light != dark
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) == dark
    page.goto(f"http://127.0.0.1:{server.port}/docs/ws")
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()
