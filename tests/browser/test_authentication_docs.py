"""The page of the tutorial in `docs/authentication.md`, in a real browser."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_fallback import BLOCKED
from tests.live.tutorial import Tutorial

ROOM = "/rooms/garden"


@pytest.fixture
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tutorial]:
    """The project at the end of the tutorial."""
    tutorial = Tutorial(tmp_path_factory.mktemp("tutorial"))
    with closing(tutorial.server):
        yield tutorial


def join(open_page: OpenPage, tutorial: Tutorial, name: str, password: str) -> Page:
    """Log in and join the room over a WebSocket."""
    page = open_page(tutorial.server, ROOM)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("listitem")).to_have_text(["joined"])
    return page


def test_members_talk_until_their_membership_ends(
    tutorial: Tutorial, open_page: OpenPage, complaints: list[str]
) -> None:
    """Each member sees who writes, and one whose membership ends is notified at once.

    One of them is behind a proxy that does not let WebSockets through.
    """
    ann = join(open_page, tutorial, "ann", "ann likes roses")
    bob = join(open_page, tutorial, "bob", "bob likes tulips")
    bob.add_init_script(BLOCKED)
    bob.reload()
    expect(bob.get_by_role("listitem")).to_have_text(["joined"])
    ann.get_by_label("Message").fill("hello")
    ann.get_by_role("button", name="Send").click()
    expect(ann.get_by_role("listitem")).to_have_text(["joined", "me: hello"])
    expect(bob.get_by_role("listitem")).to_have_text(["joined", "ann: hello"])

    admin = ann.context.new_page()
    admin.goto(f"http://127.0.0.1:{tutorial.server.port}/admin/rooms/membership/")
    admin.get_by_role("link", name="bob in garden").click()
    admin.get_by_role("link", name="Delete").click()
    admin.get_by_role("button", name="Yes").click()

    expect(bob.get_by_role("listitem")).to_have_text(["joined", "ann: hello", "notice: revoked"])
    bob.get_by_label("Message").fill("let me in")
    bob.get_by_role("button", name="Send").click()
    expect(bob.get_by_role("listitem").last).to_contain_text("not sent: ")
    complaints[:] = [line for line in complaints if "404" not in line]  # it has no favicon
