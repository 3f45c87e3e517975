"""One Chromium for all browser tests, and pages in it that must not complain."""

import os
import shutil
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.live import conftest as live

ROOT = ["--no-sandbox"] if os.geteuid() == 0 else []
TIMEOUT = 10_000

# The same servers as in the live tests.
server, shared_server, start_server = live.server, live.shared_server, live.start_server


class OpenPage(Protocol):
    """Opens a page of a server as a new visitor."""

    def __call__(
        self, server: "HasPort", path: str = "/", *, name: str = "Ann", **context: Any
    ) -> Page:
        """Open one; what else is given is for Playwright's context."""


class HasPort(Protocol):
    """A web server on this machine."""

    @property
    def port(self) -> int:
        """Where it listens."""


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's Chromium, or the like; without one these tests are skipped."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CHATROOM_TEST_BROWSER") == "required":
        pytest.fail("there is no Chromium, and CHATROOM_TEST_BROWSER is required")
    pytest.skip("there is no Chromium; on Debian, apt-get install chromium")


# Not for the session: while Playwright runs, no other event loop can run in this thread.
@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ROOT)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the pages wrote to the console; a test that expects some takes them out."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def open_page(browser: Browser, complaints: list[str]) -> Iterator[OpenPage]:
    """Open pages, each in a context of its own."""
    contexts = []

    def on_console(message: ConsoleMessage) -> None:
        # The browser's own note of a refusal, which the page shows in the server's words.
        if message.type in ("error", "warning") and "status of 400" not in message.text:
            complaints.append(message.text)

    def open_(server: HasPort, path: str = "/", *, name: str = "Ann", **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(TIMEOUT)
        context.add_init_script(f"localStorage.setItem('chatroom.name', {name!r})")
        page = context.new_page()
        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.port}{path}")
        return page

    yield open_
    for context in contexts:
        context.close()
