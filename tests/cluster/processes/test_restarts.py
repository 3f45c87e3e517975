"""All processes are restarted, one after the other, while clients publish and read."""

import threading
import uuid
from typing import Any

from tests.cluster.processes.room import Room, running_room
from tests.live.client import Client, Closed
from tests.live.server import Server
from tests.live.waiting import PATIENCE

REFUSED = (Closed, OSError, EOFError, ValueError)
"""What a client gets of a process that is just being stopped or started."""

PAUSE = 0.005
"""Seconds between two publications, which leave the processor to servers that start."""

END = -1
"""The number that is published last."""


class Publisher(threading.Thread):
    """Publishes numbers to both topics, on one process after the other."""

    def __init__(self, room: Room) -> None:
        super().__init__(daemon=True)
        self.count = 0
        """The numbers that have been published."""
        self.accepted: dict[int, list[int]] = {}
        """Those that each process has accepted for the topic without history, by its port."""
        self.doubtful: set[int] = set()
        """Those that a process may have accepted, which did not answer."""
        self.is_done = threading.Event()
        self._room = room

    def run(self) -> None:
        """Publish until there is enough, and then the end."""
        while not self.is_done.wait(PAUSE):
            self._publish_kept(self.count)
            self._publish_plain(self.count)
            self.count += 1
        self._publish_kept(END)
        while not any(self._post(server, "plain", {"payload": END}) for server in self._servers()):
            pass

    def _publish_kept(self, number: int) -> None:
        body = {"id": str(uuid.uuid4()), "payload": number, "once": True}
        while not any(self._post(server, "kept", body) for server in self._servers()):
            pass

    def _publish_plain(self, number: int) -> None:
        server = self._servers()[0]
        if self._post(server, "plain", {"payload": [server.port, number]}):
            self.accepted.setdefault(server.port, []).append(number)
        else:
            self.doubtful.add(number)

    def _post(self, server: Server, topic: str, body: dict[str, Any]) -> bool:
        try:
            return server.request("POST", f"/topics/{topic}/messages", body)[0] == 200
        except REFUSED:
            return False

    def _servers(self) -> list[Server]:
        """Return all processes, beginning with another one each time."""
        servers = list(self._room.servers)
        first = self.count % len(servers)
        return servers[first:] + servers[:first]


class Reader(threading.Thread):
    """Reads a topic, and goes on with another process whenever it is sent away."""

    def __init__(self, room: Room, topic: str, first: int) -> None:
        super().__init__(daemon=True)
        self.connections: list[list[Any]] = []
        """What came on each connection: payloads."""
        self.codes: list[int] = []
        """The codes with which connections were closed."""
        self.acks: list[dict[str, Any]] = []
        self._room = room
        self._topic = topic
        self._position: dict[str, Any] | None = None
        self._client = self._connect(room.servers[first])

    def _connect(self, server: Server) -> Client:
        """Subscribe on a process.

        Raises:
            ValueError: The process could not be asked.
        """
        client = Client(server.port)
        recover = {"recover": self._position} if self._position else {}
        try:
            ack = client.ask(type="subscribe", topic=self._topic, **recover)
            if ack["type"] != "ack":
                raise ValueError(ack)
        except REFUSED:
            client.reset()
            raise
        if "epoch" in ack and self._position is None:
            self._position = {"epoch": ack["epoch"], "offset": ack["offset"]}
        self.acks.append(ack)
        self.connections.append([])
        self.subscribed()
        return client

    def subscribed(self) -> None:
        """Note that messages are expected from now on."""

    def run(self) -> None:
        """Read until the end."""
        while not (self.connections[-1] and self.connections[-1][-1] == END):
            try:
                message = self._client.receive()
            except Closed as closed:
                self.codes.append(closed.code)
                self._move()
            else:
                assert message["type"] == "event", message
                self.connections[-1].append(message["message"]["payload"])
                if self._position is not None:
                    self._position["offset"] = message["offset"]

        self._client.reset()

    def _move(self) -> None:
        self._client.reset()
        while True:
            for server in reversed(list(self._room.servers)):
                try:
                    self._client = self._connect(server)
                except REFUSED:
                    continue
                return


class PlainReader(Reader):
    """Knows from which number on it must get everything, on each connection."""

    def __init__(self, room: Room, publisher: Publisher, first: int) -> None:
        self.since: list[int] = []
        self._publisher = publisher
        super().__init__(room, "plain", first)

    def subscribed(self) -> None:
        """Note that what is published next is expected."""
        self.since.append(self._publisher.count + 1)

    def check(self) -> None:
        """Check that nothing is missing of what each process has accepted, up to the last."""
        publisher = self._publisher
        del self.connections[-1][-1]
        for since, received in zip(self.since, self.connections, strict=True):
            numbers: dict[int, list[int]] = {}
            for port, number in received:
                if number >= since and number not in publisher.doubtful:
                    numbers.setdefault(port, []).append(number)
            for port, got in numbers.items():
                accepted = [number for number in publisher.accepted[port] if number >= since]
                assert got == accepted[: len(got)]


def test_rolling_restart() -> None:
    """With history nobody misses anything, and without nobody who stays connected does."""
    with running_room(3) as room:
        room.servers[0].create_topic("kept", history=1000)
        room.servers[0].create_topic("plain")
        publisher = Publisher(room)
        readers = [Reader(room, "kept", index) for index in (0, 1, 2)]
        plain_readers = [PlainReader(room, publisher, index) for index in (0, 1, 2)]
        for thread in (publisher, *readers, *plain_readers):
            thread.start()
        for server in list(room.servers):
            room.start()
            assert room.stop(server) == 0
        publisher.is_done.set()
        for thread in (publisher, *readers, *plain_readers):
            thread.join(PATIENCE)
            assert not thread.is_alive()
        for reader in readers:
            assert set(reader.codes) == {3001}
            assert all(ack["recovered"] for ack in reader.acks[1:])
            received = [number for some in reader.connections for number in some]
            assert received == [*range(publisher.count), END]
        for reader in plain_readers:
            assert set(reader.codes) == {3001}
            assert len(reader.connections) > 1
            reader.check()
