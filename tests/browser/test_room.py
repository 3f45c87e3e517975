"""The chat room as people use it."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.live.client import UUID
from tests.live.server import Server


def say(page: Page, text: str) -> None:
    """Send a message to the open room."""
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def joined(page: Page, room: str) -> None:
    """Wait until the open room is joined."""
    expect(page.locator("#room-title")).to_have_text(room)
    expect(page.locator("#room-subscribers")).to_contain_text("subscriber")


def look_again(page: Page) -> None:
    """Return to the page, which makes it request the server's figures immediately."""
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def test_two_people_talk(server: Server, open_page: OpenPage) -> None:
    """Two people in a room see the messages of both, in the same order."""
    ann = open_page(server, name="Ann")
    expect(ann.locator("#welcome-title")).to_have_text("No rooms yet")
    ann.get_by_label("Find or create a room").fill("orders")
    ann.get_by_role("button", name="Create", exact=True).click()
    joined(ann, "orders")
    assert ann.url.endswith("/#orders")
    boris = open_page(server, name="Boris")
    boris.get_by_role("link", name="orders").click()
    joined(boris, "orders")
    say(ann, "Hello\nBoris")
    expect(boris.locator("#messages .text")).to_have_text(["Hello\nBoris"])
    say(boris, "Hello Ann")
    for page in (ann, boris):
        expect(page.locator("#messages .text")).to_have_text(["Hello\nBoris", "Hello Ann"])
    expect(ann.locator("#messages .sender")).to_have_text(["Ann (you)", "Boris"])
    expect(ann.locator(".message.mine.acknowledged")).to_have_count(1)
    expect(boris.locator("#room-subscribers")).to_have_text("2 subscribers")
    expect(boris.locator("#live")).to_contain_text("Ann: Hello")


def test_a_room_with_options(server: Server, open_page: OpenPage) -> None:
    """A room can be created with history and presence; the page shows who is there."""
    page = open_page(server)
    page.get_by_label("Find or create a room").fill("orders")
    page.get_by_text("Options").click()
    page.get_by_label("Messages to keep").fill("5")
    page.get_by_label("Show who is there").check()
    page.get_by_role("button", name="Create", exact=True).click()
    joined(page, "orders")
    assert server.request("GET", "/topics/orders")[1]["history"] == 5
    members = page.locator("#members")
    expect(members.locator("summary")).to_have_text("1 here 1 guest")
    server.subscriber("orders")
    members.locator("summary").click()
    expect(members.get_by_role("list", name="Who is there")).to_have_text("2 guests")
    expect(page.get_by_label("Messages to keep")).to_be_hidden()
    # A room without presence has no such line.
    server.create_topic("plain")
    page.goto(f"{page.url.partition('#')[0]}#plain")
    joined(page, "plain")
    expect(members).to_be_hidden()


def test_several_rooms(server: Server, open_page: OpenPage) -> None:
    """Messages in a joined room that is not open are counted in the list and in the title."""
    for topic in ("alerts", "orders"):
        server.create_topic(topic)
    page = open_page(server, "/#alerts")
    joined(page, "alerts")
    page.get_by_role("link", name="orders").click()
    joined(page, "orders")
    publisher = server.connect()
    for number in range(3):
        publisher.publish("alerts", {"name": "stock", "text": f"low {number}"})
    expect(page.locator("a[href='#alerts'] .badge")).to_have_text("3 unread")
    expect(page).to_have_title("(3) #orders · Chat room")
    page.get_by_role("link", name="alerts").click()
    expect(page.locator("#messages .text")).to_have_count(3)
    expect(page).to_have_title("#alerts · Chat room")
    page.get_by_role("button", name="Leave").click()
    expect(page.locator("#welcome-title")).to_have_text("No room is open")
    publisher.publish("alerts", 1)
    expect(page.get_by_role("link", name="alerts")).to_contain_text("0")


def test_changing_rooms_while_the_list_changes(server: Server, open_page: OpenPage) -> None:
    """A click on a room works even if the list changes between pressing and releasing."""
    for topic in ("alerts", "orders"):
        server.create_topic(topic)
    page = open_page(server, "/#alerts")
    joined(page, "alerts")
    page.get_by_role("link", name="orders").click()
    joined(page, "orders")
    page.get_by_role("link", name="alerts").hover()
    page.mouse.down()
    publisher = server.connect()
    publisher.publish("alerts", {"name": "stock", "text": "low"})
    server.create_topic("another")
    look_again(page)
    expect(page.get_by_role("link", name="another")).to_be_visible()
    expect(page.locator("a[href='#alerts'] .badge")).to_have_text("1 unread")
    page.mouse.up()
    joined(page, "alerts")


def test_on_a_phone(server: Server, open_page: OpenPage) -> None:
    """Messages that arrive while another view is open are unread; the room is one tap away."""
    server.create_topic("t")
    page = open_page(server, "/#t", viewport={"width": 390, "height": 844})
    joined(page, "t")
    views = page.get_by_role("navigation", name="Views")
    views.get_by_role("button", name="Wire").click()
    publisher = server.connect()
    for number in range(20):
        publisher.publish("t", {"name": "Boris", "text": f"number {number}"})
    expect(page.locator("#views-unread")).to_have_text("20")
    expect(page.locator(".frame").last).to_contain_text("number 19")
    views.get_by_role("button", name="Rooms").click()
    page.locator("#room-lists a").click()
    expect(page.locator("#messages .text").last).to_be_in_viewport()
    expect(page.locator("#views-unread")).to_be_hidden()


def test_payloads_are_shown_as_they_were_written(server: Server, open_page: OpenPage) -> None:
    """A payload that is not a chat message is shown as formatted JSON with unchanged numbers."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    payload = '{"amount":99.50,"big":123456789012345678901234567890,"name":"x","list":[]}'
    server.connect().ask(
        f'{{"type":"publish","topic":"t","message":{{"id":"{UUID}","payload":{payload}}}}}'
    )
    expect(page.locator("#messages pre")).to_have_text(
        '{\n  "amount": 99.50,\n  "big": 123456789012345678901234567890,\n'
        '  "name": "x",\n  "list": []\n}'
    )


def test_deep_payload(server: Server, open_page: OpenPage) -> None:
    """Indentation is limited, so a small, deeply nested payload does not become a huge text."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    payload = "[" * 500 + "1,\n" * 15_000 + "1" + "]" * 500
    server.connect().ask(
        f'{{"type":"publish","topic":"t","message":{{"id":"{UUID}","payload":{payload}}}}}'
    )
    text = page.locator("#messages pre")
    expect(text).to_have_text(re.compile(r"^\[\s+\[.*…$", re.DOTALL))
    page.get_by_role("button", name="Show all").click()
    expect(text).to_have_text(re.compile(r"1\s+\]"))
    assert text.evaluate("node => node.textContent.length") < 1_000_000


def test_markup_stays_text(server: Server, open_page: OpenPage) -> None:
    """Markup is shown as text in messages, names of people and rooms, frames and URLs."""
    markup = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    room = "<img\u2215src=x\u2215onerror=alert(1)>"
    server.create_topic(room)
    page = open_page(server)
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.get_by_role("link", name=room).click()
    joined(page, room)
    publisher = server.connect()
    publisher.publish(room, {"name": markup, "text": markup})
    publisher.publish(room, {markup: markup})
    expect(page.locator("#messages p.text")).to_have_text(markup)
    expect(page.locator("#messages .sender").first).to_have_text(markup)
    expect(page.locator("#messages pre")).to_contain_text(markup)
    page.locator(".frame").last.click()
    expect(page.locator("#frame-text")).to_contain_text(markup)
    page.evaluate("location.hash = '<img src=x onerror=alert(3)>'")
    expect(page.locator("#welcome-title")).to_contain_text("<img src=x onerror=alert(3)>")
    assert page.locator("img, #messages script").count() == 0
    assert dialogs == []


def test_deletion_of_the_open_room(server: Server, open_page: OpenPage) -> None:
    """The page reports the deletion, and joins the room when anyone creates it again."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    server.request("DELETE", "/topics/t")
    expect(page.locator(".notice")).to_contain_text("The room was deleted")
    expect(page.locator("#composer")).to_be_hidden()
    page.get_by_role("button", name="Create it again").click()
    joined(page, "t")
    expect(page.locator(".notice").last).to_contain_text("The room was created again")
    say(page, "back")
    expect(page.locator(".message.acknowledged")).to_have_count(1)
    server.request("DELETE", "/topics/t")
    expect(page.locator("#gone")).to_be_visible()
    server.create_topic("t")
    look_again(page)
    joined(page, "t")


def test_deleting_a_room_asks_first(server: Server, open_page: OpenPage) -> None:
    """Escape and Enter keep the room; only the button deletes it."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    for key in ("Escape", "Enter"):
        page.get_by_role("button", name="Delete").click()
        expect(page.get_by_role("dialog")).to_contain_text("Delete “t”?")
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_have_count(0)
    assert server.request("GET", "/topics")[1]["topics"] != []
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("#welcome-title")).to_have_text("No rooms yet")
    assert server.request("GET", "/topics")[1]["topics"] == []


def test_link_to_a_room_that_does_not_exist(server: Server, open_page: OpenPage) -> None:
    """The link offers to create the room; an invalid name is refused with an explanation."""
    page = open_page(server, "/#%D0%BA%D1%83%D1%85%D0%BD%D1%8F%25")
    expect(page.locator("#welcome-title")).to_have_text("There is no room “кухня%”")
    page.get_by_role("button", name="Create it").click()
    joined(page, "кухня%")
    page.evaluate("location.hash = 'a b'")
    page.get_by_role("button", name="Create it").click()
    expect(page.locator("#welcome-problem")).to_contain_text("without white space")
    page.get_by_label("Find or create a room").fill("a/b")
    page.keyboard.press("Enter")
    expect(page.locator("#find-problem")).to_contain_text("without white space")
    with page.expect_response("**/stats"):
        look_again(page)  # redrawing keeps the error messages
    expect(page.locator("#find-problem")).to_be_visible()
    expect(page.locator("#welcome-problem")).to_be_visible()


def test_refused_message(server: Server, open_page: OpenPage) -> None:
    """A refused message is marked with the server's error, and can be sent again."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    say(page, "x" * 70_000)
    expect(page.locator(".message.refused .problem")).to_contain_text(
        "MESSAGE_TOO_LARGE message exceeds 65536 bytes"
    )
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".message.refused")).to_have_count(1)
    page.get_by_role("button", name=re.compile("Show all")).click()
    expect(page.locator("#messages .text")).to_have_text("x" * 70_000)


def test_name_is_remembered(server: Server, open_page: OpenPage) -> None:
    """Messages carry the name in the field, which the browser remembers."""
    server.create_topic("t")
    subscriber = server.subscriber("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    page.get_by_label("Name").fill("Клара")
    say(page, "hi")
    assert subscriber.receive()["message"]["payload"] == {"name": "Клара", "text": "hi"}
    assert page.evaluate("localStorage.getItem('chatroom.name')") == "Клара"
