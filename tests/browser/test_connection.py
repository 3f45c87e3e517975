"""The page when its connection is lost, restored, refused or too slow."""

from typing import Any

from playwright.sync_api import WebSocketRoute, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_room import joined, say
from tests.live.conftest import StartServer
from tests.live.server import Server

APPLICATION = "chatroom_project.asgi:application"


def without_network_errors(complaints: list[str]) -> None:
    """Ignore the browser's own messages about a server that is stopping (503) or down."""
    complaints[:] = [
        text for text in complaints if "ERR_CONNECTION_REFUSED" not in text and "503" not in text
    ]


def test_server_restarts(
    start_server: StartServer, open_page: OpenPage, complaints: list[str]
) -> None:
    """The page reconnects by itself and offers to create the lost room again."""
    server = start_server()
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    server.stop()
    expect(page.locator("#connection-text")).to_contain_text("server stopped (3001)")
    say(page, "anybody?")
    expect(page.locator(".message.refused .problem")).to_contain_text("NOT_CONNECTED")
    second = start_server("-m", "daphne", "-p", str(server.port), APPLICATION)
    expect(page.locator("#connection-text")).to_have_text("Connected")
    without_network_errors(complaints)
    expect(page.locator(".notice").last).to_contain_text("The room was deleted")
    page.get_by_role("button", name="Create it again").click()
    joined(page, "t")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".message.acknowledged")).to_have_count(1)
    second.connect().publish("t", {"name": "Boris", "text": "here"})
    expect(page.locator("#messages .theirs .text")).to_have_text("here")


def test_gap(server: Server, open_page: OpenPage) -> None:
    """The page shows where messages are missing after the connection was lost."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    sockets: list[Any] = []

    def on_socket(socket: WebSocketRoute) -> None:
        sockets.append((socket, socket.connect_to_server()))

    page.route_web_socket("**/ws", on_socket)
    page.reload()
    joined(page, "t")
    publisher = server.connect()
    publisher.publish("t", {"name": "Boris", "text": "before"})
    expect(page.locator("#messages .text")).to_have_text(["before"])
    sockets[-1][0].close(code=3008, reason="slow")
    sockets[-1][1].close()
    expect(page.locator(".notice")).to_contain_text("The connection was lost from")
    publisher.publish("t", {"name": "Boris", "text": "after"})
    expect(page.locator("#messages .text")).to_have_text(["before", "after"])
    expect(page.locator("#messages > li").nth(1)).to_have_class("notice")


def test_history_fills_the_gap(server: Server, open_page: OpenPage) -> None:
    """If the topic keeps history, the page recovers what it has missed, and shows where."""
    server.create_topic("t", history=100)
    page = open_page(server, "/#t")
    sockets: list[Any] = []

    def on_socket(socket: WebSocketRoute) -> None:
        if len(sockets) == 1:
            publisher.publish("t", {"name": "Boris", "text": "meanwhile"})
        sockets.append((socket, socket.connect_to_server()))

    page.route_web_socket("**/ws", on_socket)
    publisher = server.connect()
    page.reload()
    joined(page, "t")
    publisher.publish("t", {"name": "Boris", "text": "before"})
    expect(page.locator("#messages .text")).to_have_text(["before"])
    say(page, "mine")
    expect(page.locator(".message.acknowledged")).to_have_count(1)
    publisher.publish("t", {"name": "Boris", "text": "then"})
    expect(page.locator("#messages .text")).to_have_text(["before", "mine", "then"])
    sockets[-1][0].close(code=3001, reason="shutdown")
    sockets[-1][1].close()
    expect(page.locator("#messages .text")).to_have_text(["before", "mine", "then", "meanwhile"])
    expect(page.locator("#messages > li").nth(3)).to_have_text("1 message recovered")
    expect(page.locator(".notice")).to_have_count(0)


def test_some_codes_are_final(start_server: StartServer, open_page: OpenPage) -> None:
    """After close code 3501 the page does not reconnect until the user asks it to."""
    server = start_server(CHATROOM_MAX_MALFORMED="1")
    page = open_page(server)
    expect(page.locator("#connection-text")).to_have_text("Connected")
    page.get_by_label("Raw frame").fill("nonsense")
    page.get_by_label("Raw frame").press("Control+Enter")
    expect(page.locator("#connection-text")).to_have_text("Disconnected: bad request (3501)")
    page.locator("#connection-retry").click()
    expect(page.locator("#connection-text")).to_have_text("Connected")


def test_slow_page(server: Server, open_page: OpenPage) -> None:
    """The page shows how many messages were dropped while it was not reading, and where."""
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    publisher = server.connect()
    publisher.publish("t", {"name": "Boris", "text": "before"})
    expect(page.locator("#messages .text")).to_have_text(["before"])
    # A page stopped by the debugger reads nothing; the browser and the kernel buffer some MiB.
    debugger = page.context.new_cdp_session(page)
    debugger.send("Debugger.enable")
    debugger.send("Debugger.pause")
    text = "x" * 60_000
    count = 0
    while server.request("GET", "/stats")[1]["topics"]["t"]["dropped"] == 0:
        for _ in range(50):
            publisher.publish("t", {"name": "Boris", "text": text})
        count += 50
        assert count < 2000
    debugger.send("Debugger.resume")
    notice = page.locator(".notice")
    expect(notice).to_contain_text("SLOW_CONSUMER")
    publisher.publish("t", {"name": "Boris", "text": "after"})
    expect(page.locator("#messages .text").last).to_have_text("after")
    dropped = server.request("GET", "/stats")[1]["topics"]["t"]["dropped"]
    words = "message was" if dropped == 1 else "messages were"
    expect(notice).to_contain_text(f"{dropped:,} {words} dropped here")
