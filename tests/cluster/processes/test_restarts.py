"""All processes are restarted, one after the other, while clients publish and read."""

import threading
import urllib.error
import uuid
from typing import Any

from tests.cluster.processes.room import Room, running_room
from tests.live.client import Closed
from tests.live.server import Server


class Publisher(threading.Thread):
    """Publishes numbers, each once, to whichever process answers."""

    def __init__(self, room: Room) -> None:
        super().__init__()
        self.count = 0
        self.is_done = threading.Event()
        self._room = room

    def run(self) -> None:
        """Publish until there is enough."""
        while not self.is_done.is_set():
            self._publish({"id": str(uuid.uuid4()), "payload": self.count, "once": True})
            self.count += 1

    def _publish(self, body: dict[str, Any]) -> None:
        while True:
            for server in list(self._room.servers):
                try:
                    if server.request("POST", "/topics/orders/messages", body)[0] == 200:
                        return
                except (urllib.error.URLError, OSError):  # it is just being restarted
                    pass


class Reader(threading.Thread):
    """Reads everything, and recovers on another process whenever it is sent away."""

    def __init__(self, room: Room, first: int) -> None:
        super().__init__()
        self.received: list[int] = []
        self.failures: list[Any] = []
        self.moves = 0
        self.last: int | None = None
        """The number after which it stops reading."""
        self._room = room
        self._position: dict[str, Any] | None = None
        self._client = self._connect(room.servers[first])

    def _connect(self, server: Server) -> Any:
        client = server.connect()
        recover = {} if self._position is None else {"recover": self._position}
        ack = client.ask(type="subscribe", topic="orders", **recover)
        if self._position is None:
            self._position = {"epoch": ack["epoch"], "offset": ack["offset"]}
        elif not ack.get("recovered"):
            self.failures.append(ack)
        return client

    def run(self) -> None:
        """Read until the last number."""
        while self.last is None or self.last not in self.received[-1:]:
            try:
                message = self._client.receive()
            except Closed as closed:
                if closed.code != 3001:
                    self.failures.append(closed)
                self._move()
            else:
                assert self._position is not None
                self._position["offset"] = message["offset"]
                self.received.append(message["message"]["payload"])

    def _move(self) -> None:
        while True:
            for server in list(self._room.servers):
                try:
                    self._client = self._connect(server)
                except (Closed, OSError, EOFError, ValueError):  # it is just being restarted
                    continue
                self.moves += 1
                return


def test_rolling_restart() -> None:
    """Every client gets every message of a topic with history exactly once, in order."""
    with running_room(3) as room:
        room.servers[0].create_topic("orders", history=1000)
        publisher = Publisher(room)
        readers = [Reader(room, index % 3) for index in range(6)]
        for thread in (publisher, *readers):
            thread.start()
        for server in list(room.servers):
            room.start()
            assert room.stop(server) == 0
        publisher.is_done.set()
        publisher.join()
        for reader in readers:
            reader.last = publisher.count - 1
            reader.join(60)
        for reader in readers:
            assert reader.failures == []
            assert reader.received == list(range(publisher.count))
            assert reader.moves >= 1
