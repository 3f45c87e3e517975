"""Everything can be done without a mouse."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_room import joined
from tests.live.server import Server


def focused(page: Page) -> str:
    """Return the id of the focused element."""
    identifier: str = page.evaluate("document.activeElement.id")
    return identifier


def test_a_whole_visit(server: Server, open_page: OpenPage) -> None:
    """Rooms are created and changed, messages sent and frames inspected with the keyboard alone."""
    page = open_page(server)
    expect(page.locator("#welcome-title")).to_have_text("No rooms yet")
    keyboard = page.keyboard
    for room in ("one", "two"):
        keyboard.press("Escape")
        keyboard.press("/")
        assert focused(page) == "find-text"
        keyboard.type(room)
        keyboard.press("Enter")
        joined(page, room)
        assert focused(page) == "composer-text"
    keyboard.type("first")
    keyboard.press("Shift+Enter")
    keyboard.type("second?")
    keyboard.press("Enter")
    expect(page.locator(".message.acknowledged .text")).to_have_text("first\nsecond?")
    keyboard.press("Alt+ArrowUp")
    joined(page, "one")
    keyboard.press("Control+ArrowDown")
    joined(page, "two")
    keyboard.press("Escape")
    keyboard.press("w")
    assert focused(page) == "frames"
    keyboard.press("End")
    expect(page.locator("#frame-text")).to_contain_text('"type": "ack"')
    keyboard.press("Escape")
    expect(page.locator("#frame-detail")).to_be_hidden()
    keyboard.press("h")
    assert focused(page) == "health"
    keyboard.press("m")
    assert focused(page) == "composer-text"


def test_list_of_shortcuts(server: Server, open_page: OpenPage) -> None:
    """The key "?" opens the list, except in a field; single-key shortcuts can be turned off."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    page.keyboard.type("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("New line")
    page.get_by_label("Enable single-key shortcuts").press("Space")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Control+/")
    expect(page.get_by_role("dialog")).to_have_count(1)


def test_everything_can_be_reached(server: Server, open_page: OpenPage) -> None:
    """Tab reaches every control in a sensible order, and the focus is always visible."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    page.locator(".skip").focus()
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, visible = page.evaluate(
            """() => {
                const node = document.activeElement;
                const style = getComputedStyle(node);
                return [node.id || node.textContent.trim(), style.outlineStyle !== "none"];
            }"""
        )
        if name in seen or name.startswith("Skip"):
            break
        assert visible, name
        seen.append(name)
    wanted = ["theme", "help", "find-text", "room-leave", "room-delete", "messages-scroll"]
    wanted += ["name", "composer-text", "send", "tab-wire", "wire-filter", "wire-direction"]
    wanted += ["wire-pause", "wire-clear", "frames", "subscribe", "ping", "editor-text"]
    positions = [seen.index(name) for name in wanted]
    assert positions == sorted(positions)
