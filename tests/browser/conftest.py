"""One Chromium for all browser tests; its pages must not log errors or warnings."""

import os
import re
import shutil
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.auth.support import SECRET
from tests.live import conftest as live
from tests.live.server import Server, running_server
from tests.live.waiting import PATIENCE

DISABLED = (
    # Chromium renders pop-ups of its address bar, which a test never sees, for each context: this
    # takes a quarter of the time of these tests.
    *("WebUIOmniboxPopup", "WebUIOmniboxFullPopup", "WebUIOmniboxAimPopup"),
    # Only one such option counts. So these are those of Playwright that concern a test: requests
    # to other hosts, and the behaviour of pages.
    *("AimEnabled", "NetworkTimeServiceQuerying", "OptimizationHints", "PreconnectToSearch"),
    *("AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync"),
    *("DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades"),
    *("LensOverlay", "MediaRouter", "PaintHolding", "ThirdPartyStoragePartitioning"),
)
OPTIONS = [
    f"--disable-features={','.join(DISABLED)}",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),
]
TIMEOUT = PATIENCE * 1000
"""Milliseconds for each action and expectation."""


# The browser tests use the same servers as the live tests.
server, shared_server, start_server = live.server, live.shared_server, live.start_server


@pytest.fixture(scope="session")
def guarded_server() -> Iterator[Server]:
    """A server that requires a token; topics are created when they are first used."""
    with running_server(
        CHATROOM_AUTH="required",
        CHATROOM_JWT_SECRET=SECRET,
        CHATROOM_ALLOWED_ORIGINS="*",
        CHATROOM_AUTO_CREATE_TOPICS="true",
    ) as server:
        yield server


class OpenPage(Protocol):
    """Opens a page of a server as a new visitor."""

    def __call__(
        self, server: "HasPort", path: str = "/", *, name: str = "Ann", **context: Any
    ) -> Page:
        """Open one; other options are passed to Playwright's context."""


class HasPort(Protocol):
    """A web server on this machine."""

    @property
    def port(self) -> int:
        """The port that it listens on."""


@pytest.fixture(scope="session")
def chromium() -> str:
    """Find Debian's Chromium or a similar browser; these tests are skipped without one."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    if os.environ.get("CHATROOM_TEST_BROWSER") == "required":
        pytest.fail("Chromium is not installed, and CHATROOM_TEST_BROWSER is required")
    pytest.skip("Chromium is not installed; on Debian, run apt-get install chromium")


# Not session-scoped, because no other event loop can run in this thread while Playwright does.
@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    """Start one browser for all tests."""
    expect.set_options(timeout=TIMEOUT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Collect what the pages log; a test that expects some of it removes that from the list."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def open_page(browser: Browser, complaints: list[str]) -> Iterator[OpenPage]:
    """Open pages, each in its own context."""
    contexts = []

    def on_console(message: ConsoleMessage) -> None:
        # Chromium logs every refused request; the page shows the server's message instead.
        refused = re.search("status of 40[013]", message.text)
        if message.type in ("error", "warning") and not refused:
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
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")  # a request may be on its way to the server
        context.close()
