"""The page of a server that wants a token."""

import pytest
from playwright.sync_api import Page, expect

from tests.auth.support import token
from tests.browser.conftest import OpenPage
from tests.browser.test_accessibility import DESK, PHONE, check
from tests.browser.test_room import joined, say
from tests.live.client import Client
from tests.live.server import Server

EVERYTHING = {"subscribe": ["*"], "publish": ["*"], "manage": ["*"]}


def connect(server: Server, user: str = "43") -> Client:
    """Connect as another user, who may do everything."""
    return server.connect(headers={"Authorization": f"Bearer {token(user, **EVERYTHING)}"})


def create(server: Server, topic: str) -> Client:
    """Create a topic by subscribing another user to it."""
    client = connect(server)
    client.ask(type="subscribe", topic=topic)
    return client


def sign_in(page: Page, with_token: str) -> None:
    """Enter a token into the dialog, which is or will be open."""
    page.get_by_role("dialog", name="Sign in").get_by_label("Token").fill(with_token)
    page.keyboard.press("Enter")
    expect(page.locator("#sign-in-token")).to_have_value("")


def status(page: Page, text: str) -> None:
    """Wait for the status in the header."""
    expect(page.locator("#session-status")).to_have_text(text)


def test_signing_in(guarded_server: Server, open_page: OpenPage) -> None:
    """The page asks for a token; with it, rooms can be joined, and messages name their users."""
    other = create(guarded_server, "both")
    page = open_page(guarded_server, "/#both")
    sign_in(page, token("42", **EVERYTHING))
    status(page, "Signed in as 42")
    joined(page, "both")
    say(page, "Hello")
    assert other.receive()["user"] == "42"
    other.publish("both", {"name": "Boris", "text": "Hello 42"})
    other.publish("both", [1])
    expect(page.locator("#messages .chat.theirs .sender")).to_have_text("Boris user 43")
    expect(page.locator("#messages .json .sender")).to_have_text("JSON user 43")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_tokens_are_kept_nowhere(guarded_server: Server, open_page: OpenPage) -> None:
    """A token is not stored or shown, even if it is typed as a frame; signing out forgets it."""
    create(guarded_server, "kept")
    page = open_page(guarded_server, "/#kept")
    secret = token("42", **EVERYTHING)
    sign_in(page, secret)
    joined(page, "kept")
    editor = page.get_by_label("Raw frame")
    for frame in (
        f'{{"type":"auth","token":"{secret}","request_id":"raw"}}',
        f'{{"type":"auth","token":"{secret}',
    ):
        editor.fill(frame)
        editor.press("Control+Enter")
        size = f"{len(frame)} B"
        row = page.locator(".frame", has_text=size)
        expect(row.locator("code")).to_contain_text('"token":"•••')
        row.click()
        expect(page.locator("#frame-text")).not_to_contain_text(secret)
    editor.fill("")
    assert secret not in page.content()
    stored = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    assert secret not in page.evaluate(stored)
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#session-out")).to_be_hidden()
    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
    expect(page.locator("#messages > li")).to_have_count(0)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_wrong_token(guarded_server: Server, open_page: OpenPage, viewport: dict[str, int]) -> None:
    """The page shows why a token was not accepted; the dialog and the header are accessible."""
    create(guarded_server, "wrong")
    page = open_page(guarded_server, "/#wrong", viewport=viewport)
    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
    check(page)
    alert = page.get_by_role("alert")
    for wrong, reason in [
        ("not a token", "the token is not a JSON Web Token"),
        (token(secret="another secret of at least 32 bytes"), "the token's signature is wrong"),
        (token(ttl=-100), "the token has expired"),
    ]:
        sign_in(page, wrong)
        expect(alert).to_have_text(f"The token was not accepted: {reason}.")
    check(page)
    sign_in(page, token(**EVERYTHING))
    status(page, "Signed in as 42")
    joined(page, "wrong")
    create(guarded_server, "wrong").publish("wrong", {"name": "Boris", "text": "x"})
    expect(page.locator("#messages .user")).to_have_text("user 43")
    check(page)


def test_declining(guarded_server: Server, open_page: OpenPage) -> None:
    """Escape closes the dialog for good; a button in the header opens it again."""
    create(guarded_server, "declined")
    page = open_page(guarded_server, "/#declined")
    dialog = page.get_by_role("dialog", name="Sign in")
    expect(dialog.get_by_label("Token")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    status(page, "Not signed in")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.get_by_role("button", name="Sign in").click()
    sign_in(page, token(**EVERYTHING))
    joined(page, "declined")


def test_forbidden_rooms(guarded_server: Server, open_page: OpenPage) -> None:
    """What the token does not allow is said in plain words."""
    create(guarded_server, "readable")
    page = open_page(guarded_server, "/#readable")
    page.evaluate("sessionStorage.setItem('chatroom.joined', '[\"readable\", \"secret\"]')")
    page.reload()
    sign_in(page, token(subscribe=["readable"]))
    joined(page, "readable")
    say(page, "Hello")
    problem = page.locator(".message.refused .problem")
    expect(problem).to_contain_text("FORBIDDEN You may not write in this room.")
    page.get_by_role("link", name="secret").click()
    expect(page.locator("#room-subscribers")).to_have_text("You may not read this room")


def test_renewal(guarded_server: Server, open_page: OpenPage) -> None:
    """The page shows that the token expires; a new one of the same user takes its place."""
    create(guarded_server, "renewed")
    create(guarded_server, "dropped")
    page = open_page(guarded_server, "/#renewed")
    sign_in(page, token("42", ttl=50, **EVERYTHING))
    status(page, "Your token expires soon")
    for room in ("dropped", "renewed"):
        page.get_by_role("link", name=room).click()
        joined(page, room)
    page.get_by_role("button", name="Change token").click()
    page.get_by_label("Token").fill(token("43"))
    page.keyboard.press("Enter")
    problem = page.get_by_role("alert")
    expect(problem).to_have_text("This is a token of another user, 43. Sign out first.")
    sign_in(page, token("42", secret="another secret of at least 32 bytes"))
    expect(problem).to_have_text("The token was not accepted: the token's signature is wrong.")
    sign_in(page, token("42", subscribe=["renewed"]))
    status(page, "Signed in as 42")
    expect(page.locator("#connection-text")).to_have_text("Connected")
    page.get_by_role("link", name="dropped").click()
    expect(page.locator(".notice")).to_contain_text("You may no longer read this room.")


def test_server_without_authentication(server: Server, open_page: OpenPage) -> None:
    """Where authentication is off, nothing of it is to be seen."""
    page = open_page(server)
    expect(page.locator("#welcome-title")).to_have_text("No rooms yet")
    expect(page.locator("#session")).to_be_hidden()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_rest(guarded_server: Server, open_page: OpenPage) -> None:
    """Requests carry the token, refusals are in plain words, and figures need an API key."""
    page = open_page(guarded_server)
    expect(page.locator("#welcome-title")).to_have_text("Sign in to see the rooms")
    sign_in(page, token(subscribe=["rest.*"], manage=["rest.*"]))
    status(page, "Signed in as 42")
    field = page.get_by_label("Find or create a room")
    field.fill("elsewhere")
    page.keyboard.press("Enter")
    expect(page.locator("#find-problem")).to_have_text("You may not create this room")
    field.fill("rest.1")
    page.keyboard.press("Enter")
    joined(page, "rest.1")
    expect(page.locator("#room-subscribers")).to_have_text("1 subscriber")
    page.get_by_role("tab", name="Health").click()
    needed = "The server shows these figures only to requests with an API key."
    expect(page.locator("#health-state")).to_have_text(needed)
    expect(page.locator("#charts")).to_be_hidden()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="rest.1")).to_have_count(0)
