"""Compression as Chromium negotiates it."""

from tests.browser.conftest import OpenPage
from tests.browser.test_room import joined
from tests.live.client import UUID
from tests.live.conftest import StartServer

EXCHANGE = """async (command) => {
  const socket = new WebSocket(`ws://${location.host}/ws`);
  await new Promise((resolve) => { socket.onopen = resolve; });
  const next = () => new Promise((resolve) => { socket.onmessage = ({ data }) => resolve(data); });
  const answers = [];
  for (const message of [{ type: "subscribe", topic: "t" }, command]) {
    socket.send(JSON.stringify(message));
    answers.push(await next());
  }
  window.event = next();
  return [socket.extensions, ...answers];
}"""


def test_messages_in_both_directions(start_server: StartServer, open_page: OpenPage) -> None:
    """Long and short messages reach the browser and come from it."""
    server = start_server(CHATROOM_COMPRESSION="true")
    server.create_topic("t")
    page = open_page(server, "/#t")
    joined(page, "t")
    other = server.subscriber("t")
    message = {"id": UUID, "payload": "é" * 5000}
    command = {"type": "publish", "topic": "t", "message": message}
    extensions, *answers = page.evaluate(EXCHANGE, command)
    assert extensions.startswith("permessage-deflate")
    assert ['"type":"ack"' in answer for answer in answers] == [True, True]
    assert other.receive()["message"] == message
    other.publish("t", message["payload"])
    assert page.evaluate("event.then(JSON.parse)")["message"] == message
