"""A visitor of the server on port 9090: loads the pages, chats, and waits until the server leaves.

It runs inside the image, so it uses only what is installed there.
"""

import asyncio
import json
import re
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import urljoin

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol

SITE = "http://localhost:9090/"
PAGES = ["", "docs", "docs/ws", "openapi.json", "asyncapi.json", "health", "stats"]
MESSAGE = {"id": "6f2c8f2e-7c1b-4d0e-9a55-0d6a2f1f6c11", "payload": {"text": "hello"}}


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def load(url: str) -> str:
    """Return the content as text; any status but 200 is an error."""
    with urllib.request.urlopen(url, timeout=30) as response:
        return str(response.read(), errors="replace")


def load_pages() -> int:
    """Load every page and all that it refers to; return how many addresses that is."""
    loaded: set[str] = set()
    left = {urljoin(SITE, page) for page in PAGES}
    while left:
        address = left.pop()
        loaded.add(address)
        text = load(address)
        links = re.findall(r'(?:src=|href=|from )"([^":#\s]+\.(?:js|css|svg|png))"', text)
        left |= {urljoin(address, link) for link in links} - loaded
    return len(loaded)


class Visitor(WebSocketClientProtocol):
    """Subscribes to a topic, gets a message that was published over REST, and reports the close."""

    def onOpen(self) -> None:  # noqa: N802
        """Subscribe."""
        self.sendMessage(json.dumps({"type": "subscribe", "topic": "orders"}).encode())

    def onMessage(self, payload: bytes, binary: bool) -> None:  # noqa: N802
        """Publish once subscribed, and report the message."""
        message = json.loads(payload)
        if message["type"] == "ack":
            asyncio.get_running_loop().run_in_executor(
                None, post, "topics/orders/messages", MESSAGE
            )
        elif message["type"] == "event":
            say(f"connected, {message['message']['payload']['text']}")
        elif message["error"]["code"] == "TOPIC_NOT_FOUND":  # in this process, a moment ago
            asyncio.get_running_loop().call_later(0.1, self.onOpen)

    def onClose(self, clean: bool, code: int, reason: str) -> None:  # noqa: N802
        """Report the close code."""
        say(f"closed {code} {reason}")
        asyncio.get_running_loop().stop()


def post(path: str, body: object) -> None:
    """Make a POST request; any status but 200 or 201 is an error.

    With several processes, one may not know the topic yet, or not be ready. Then it is repeated.
    """
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(urljoin(SITE, path), json.dumps(body).encode(), headers)
    for attempt in range(100):
        try:
            urllib.request.urlopen(request, timeout=30).close()
        except urllib.error.HTTPError as error:
            if error.code not in (404, 503) or attempt == 99:
                raise
            time.sleep(0.1)
        else:
            return


def main() -> None:
    """Visit the server until it closes the connection."""
    say(f"loaded {load_pages()} pages and files")
    post("topics", {"name": "orders"})
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    factory = WebSocketClientFactory("ws://localhost:9090/ws")
    factory.protocol = Visitor
    loop.run_until_complete(loop.create_connection(factory, "localhost", 9090))
    loop.run_forever()


if __name__ == "__main__":
    main()
