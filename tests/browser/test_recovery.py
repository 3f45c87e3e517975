"""What `chatroom.js` does about messages that it has missed, and about lost acknowledgements."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute

from tests.browser import test_client
from tests.live.server import Server, running_server

server, site = test_client.server, test_client.site
client, fake = test_client.client, test_client.fake

FOLLOW = """(topic) => {
    window.heard ??= [];
    return room.subscribe(topic, {
        onEvent: ({message, recovered}) => heard.push([message.payload, Boolean(recovered)]),
        onNotice: ({kind, count, dropped, lost, atMost}) =>
            heard.push([kind, count ?? dropped ?? lost ?? atMost ?? null]),
    });
}"""


@pytest.fixture(scope="module")
def open_server() -> Iterator[Server]:
    """A server that replays little, and is quick to notify of members."""
    limits = {"CHATROOM_RECOVERY_LIMIT": "100", "CHATROOM_PRESENCE_INTERVAL": "0.1"}
    with running_server(CHATROOM_ALLOWED_ORIGINS="*", **limits) as server:
        yield server


@pytest.fixture
def relay(client: Page) -> "Relay":
    """Stand between the page and the server."""
    return Relay(client)


class Relay:
    """Connects the page's WebSockets to the server, and breaks them when a test asks for it."""

    def __init__(self, page: Page) -> None:
        self.sent: list[dict[str, Any]] = []
        """What the page has sent."""
        self.before_next: Callable[[], Any] = lambda: None
        """Called before the next WebSocket reaches the server."""
        self._page = page
        self._ends: list[tuple[WebSocketRoute, WebSocketRoute]] = []
        page.route_web_socket("**/ws", self._on_socket)
        page.reload()

    def _on_socket(self, socket: WebSocketRoute) -> None:
        self.before_next()
        end = socket.connect_to_server()
        self._ends.append((socket, end))

        def forward(text: str | bytes) -> None:
            self.sent.append(json.loads(text))
            end.send(text)

        socket.on_message(forward)

    def start(self) -> None:
        """Connect the page, which will reconnect quickly."""
        self._page.evaluate("start({minDelay: 1})")

    def interrupt(self, meanwhile: Callable[[], Any] = lambda: None) -> None:
        """Break the connection, and do something before there is another one."""
        self.before_next = meanwhile
        for end in self._ends[-1]:
            end.close(code=3001, reason="shutdown")

    def lose_replies(self) -> None:
        """Break the connection as soon as the server answers."""
        socket, end = self._ends[-1]
        end.on_message(lambda reply: socket.close(code=1011))


def heard(page: Page, number: int) -> Any:
    """Wait until a page has heard so many messages and notices; return them."""
    page.wait_for_function("(number) => heard.length >= number", arg=number)
    return page.evaluate("heard")


def test_recovery(server: Server, client: Page, relay: Relay) -> None:
    """What was published meanwhile follows in order, marked, and without the client's own."""
    server.create_topic("kept", history=10)
    server.create_topic("plain")
    publisher = server.connect()
    relay.start()
    for topic in ("kept", "plain"):
        client.evaluate(FOLLOW, topic)
    publisher.publish("kept", 1)
    assert heard(client, 1) == [[1, False]]
    client.evaluate("room.publish('kept', 'mine')")
    relay.sent.clear()
    relay.interrupt(lambda: [publisher.publish("kept", number) for number in (2, 3)])
    client.wait_for_function("heard.length >= 4")
    publisher.publish("kept", 4)
    whole = heard(client, 6)
    assert ["gap", None] in whole  # of the topic without history
    whole.remove(["gap", None])
    assert whole == [[1, False], ["recovered", 2], [2, True], [3, True], [4, False]]
    recover = {command["topic"]: command.get("recover") for command in relay.sent}
    assert recover["plain"] is None
    assert recover["kept"].keys() == {"epoch", "offset", "client_id"}
    assert recover["kept"]["offset"] == 2  # its own message does not count as missed


def test_gap(server: Server, client: Page, relay: Relay) -> None:
    """A gap is only reported where the history no longer reaches back, or is another one."""
    server.create_topic("t", history=2)
    publisher = server.connect()
    relay.start()
    client.evaluate(FOLLOW, "t")
    relay.interrupt(lambda: [publisher.publish("t", number) for number in range(5)])
    assert heard(client, 4) == [["gap", 3], ["recovered", 2], [3, True], [4, True]]

    def create_again() -> None:
        server.request("DELETE", "/topics/t")
        server.create_topic("t", history=2)
        publisher.publish("t", "another")

    relay.interrupt(create_again)
    assert heard(client, 5)[4:] == [["gap", None]]
    publisher.publish("t", "live")
    assert heard(client, 6)[5:] == [["live", False]]


def test_recovery_page_by_page(server: Server, client: Page, relay: Relay) -> None:
    """What the server does not replay is requested, and live messages keep their place."""
    server.create_topic("t", history=1000)
    publisher = server.connect()
    relay.start()
    client.evaluate(FOLLOW, "t")
    wide = "x" * 2000  # a page is limited to 256 KiB

    def fall_behind() -> None:
        for number in range(300):
            publisher.publish("t", [number, wide])

    relay.interrupt(fall_behind)
    client.wait_for_function("heard.filter(([what]) => Array.isArray(what)).length >= 300")
    publisher.publish("t", [300, wide])
    client.wait_for_function("heard.filter(([what]) => Array.isArray(what)).length >= 301")
    numbers = client.evaluate("heard.filter(([what]) => Array.isArray(what)).map(([[n]]) => n)")
    assert numbers == list(range(301))
    assert not client.evaluate("heard.some(([what]) => what === 'gap')")


def slow_consumer(answers: list[dict[str, Any]], asked: list[Any]) -> Callable[..., None]:
    """Return a server that drops messages 2 to 4, reports that, and answers with these pages."""

    def serve(socket: WebSocketRoute) -> None:
        def on_message(text: str | bytes) -> None:
            command = json.loads(text)
            request = {"topic": "t", "request_id": command.get("request_id")}
            if command["type"] == "subscribe":
                begin = {"epoch": "e", "offset": 0, "client_id": "c"}
                socket.send(json.dumps({"type": "ack", **request, "status": "ok", **begin}))
                socket.send(event(1))
                loss = {"dropped": 3, "first": 2, "last": 4, "error": {"code": "SLOW_CONSUMER"}}
                socket.send(json.dumps({"type": "error", "topic": "t", **loss}))
                socket.send(event(5))
            else:
                asked.append(command["since"])
                socket.send(
                    json.dumps({"type": "history", **request, "epoch": "e", **answers.pop(0)})
                )
                if not answers:
                    socket.send(event(6))

        socket.on_message(on_message)

    return serve


def kept(offset: int) -> dict[str, Any]:
    """Return a message as it is in the history."""
    return {"offset": offset, "message": {"id": f"m{offset}", "payload": offset}, "ts": "2025"}


def event(offset: int) -> str:
    """Return a live event."""
    return json.dumps({"type": "event", "topic": "t", **kept(offset)})


def test_slow_client(client: Page, fake: Callable[..., list[WebSocketRoute]]) -> None:
    """What the server has dropped is requested, and delivered before what came later."""
    asked: list[Any] = []
    pages = [
        {"offset": 5, "complete": True, "messages": [kept(2), kept(3)]},
        {"offset": 5, "complete": True, "messages": [kept(4), kept(5)]},
    ]
    fake(slow_consumer(pages, asked))
    client.evaluate("start()")
    client.evaluate(FOLLOW, "t")
    assert heard(client, 8) == [
        *([1, False], ["recovered", 2], [2, True], [3, True]),
        *(["recovered", 2], [4, True], [5, True], [6, False]),
    ]
    assert asked == [{"epoch": "e", "offset": 1}, {"epoch": "e", "offset": 3}]


def test_slow_client_that_loses_messages(
    client: Page, fake: Callable[..., list[WebSocketRoute]]
) -> None:
    """What the history does not have any more is reported with its exact number."""
    pages = [{"offset": 5, "complete": False, "messages": [kept(4), kept(5)]}]
    fake(slow_consumer(pages, []))
    client.evaluate("start()")
    client.evaluate(FOLLOW, "t")
    assert heard(client, 6) == [
        *([1, False], ["gap", 2], ["recovered", 2], [4, True], [5, True], [6, False]),
    ]


def test_source_text_of_past_messages(server: Server, client: Page) -> None:
    """The text of a message from the history is as the publisher wrote it."""
    server.create_topic("t", history=10)
    payloads = [b'{"amount":99.50,"list":[1,[2,"]"]]}', b"123456789012345678901234567890"]
    for payload in payloads:
        server.request("POST", "/topics/t/messages", b'{"payload":%b}' % payload)
    client.evaluate("start()")
    found = client.evaluate(
        """async () => {
            const source = await import(SOURCE);
            const {text} = await room.history("t");
            const messages = source.elements(source.member(text, "messages"));
            const payload = (each) => source.member(source.member(each, "message"), "payload");
            return [messages.map(payload), source.elements(" [ ] ")];
        }""".replace("SOURCE", f'"http://127.0.0.1:{server.port}{SOURCE}"')
    )
    assert found == [[payload.decode() for payload in payloads], []]


SOURCE = "/static/pubsub/console/chatroom/source-text.js"


def test_once(server: Server, client: Page, relay: Relay) -> None:
    """A publication whose answer was lost is repeated with `once`, and delivered once."""
    server.create_topic("t", history=10)
    reader = server.subscriber("t")
    relay.start()
    client.evaluate("room.ping()")
    relay.lose_replies()
    ack = client.evaluate("room.publish('t', 'first', {once: true})")
    assert ack["duplicate"] is True
    relay.lose_replies()
    lost = client.evaluate("outcome(room.publish('t', 'second'))")
    assert (lost["code"], lost["unknownFate"]) == ("CONNECTION_LOST", True)
    client.wait_for_function("room.state === 'open'")
    assert client.evaluate("room.publish('t', 'third', {once: true})")["status"] == "ok"
    payloads = [reader.receive()["message"]["payload"] for _ in range(3)]
    assert payloads == ["first", "second", "third"]


def test_once_without_another_connection(
    client: Page, fake: Callable[..., list[WebSocketRoute]]
) -> None:
    """If the client is closed before a repetition, the fate of the publication stays unknown."""
    fake(test_client.silent)
    client.evaluate("start()")
    client.evaluate("window.result = outcome(room.publish('t', 1, {once: true})), room.close()")
    result = client.evaluate("result")
    assert (result["code"], result["unknownFate"]) == ("CONNECTION_LOST", True)


def test_presence(server: Server, client: Page, relay: Relay) -> None:
    """The list of members follows who comes and goes, also across a reconnection."""
    server.create_topic("t", presence=True)
    server.create_topic("plain")
    relay.start()
    client.evaluate("room.subscribe('t', {presence: true, onPresence: (p) => window.there = p})")
    client.wait_for_function("window.there?.members.length === 1")
    other = server.subscriber("t")
    client.wait_for_function("there.members.length === 2 && there.clients === 2")
    assert len(client.evaluate("room.presence('t')")["members"]) == 2
    other.close()
    client.wait_for_function("there.members.length === 1")
    relay.interrupt(lambda: server.subscriber("t"))
    client.wait_for_function("there.members.length === 2")
    refused = client.evaluate("outcome(room.subscribe('plain', {presence: true}))")
    assert refused["code"] == "BAD_REQUEST"
    assert client.evaluate("room.subscribe('plain')")["status"] == "ok"
    refused = client.evaluate("outcome(room.subscribe('plain', {presence: true}))")
    assert refused["code"] == "BAD_REQUEST"
    assert client.evaluate("room.topics") == ["t", "plain"]
