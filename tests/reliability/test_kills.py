"""Clients that are killed at random while others publish and listen."""

import http.client
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.live.client import UUID, Client
from tests.live.conftest import StartServer
from tests.live.server import PROJECT, Server
from tests.live.waiting import PATIENCE, wait_until
from tests.reliability.conftest import FACTOR, Record, scaled
from tests.reliability.crowd import Crowd
from tests.reliability.traces import LeavesNoTrace

SECONDS = scaled(8) if FACTOR > 1 else 3
TOPICS = ("a", "b", "counted")
SURVIVORS = 6
VICTIMS = 12
FLOCK = 5
"""Clients of each process that is killed."""

BATCH = 10
"""Messages of each publisher in one round; less than what fits into the queues."""


class Victims:
    """Subscribers that come and are killed in one of several ways; counts how many were."""

    def __init__(self, server: Server, chance: random.Random) -> None:
        self._server = server
        self._chance = chance
        self._clients = [self._new_client() for _ in range(VICTIMS)]
        self._processes = [self._new_process()]
        self.killed = 0

    def _new_client(self) -> Client:
        client = Client(self._server.port)
        for topic in self._chance.sample(TOPICS, 2):
            client.send(type="subscribe", topic=topic)
        return client

    def _new_process(self) -> "subprocess.Popen[bytes]":
        arguments = (str(self._server.port), str(FLOCK), *TOPICS)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.flock", *arguments],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def kill_some(self) -> None:
        """Kill a client, and now and then a process; others take their places."""
        victim = self._clients.pop(self._chance.randrange(len(self._clients)))
        way = self._chance.randrange(4)
        if way == 0:
            victim.reset()
        elif way == 1:
            victim.close()
        elif way == 2:
            victim.shut_down_writing()
            victim.reset()
        else:
            # Half of a frame, and then nothing.
            victim.send_bytes(b"\x81\xfe\x00")
            victim.reset()
        self._clients.append(self._new_client())
        self.killed += 1
        if self._chance.random() < 0.04:
            self._kill_process()
            self._processes.append(self._new_process())

    def _kill_process(self) -> None:
        process = self._processes.pop(0)
        output = process.stdout
        assert output is not None
        with output:
            assert output.readline() == b"subscribed\n"
            process.send_signal(signal.SIGKILL)
        process.wait()
        self.killed += FLOCK

    def kill_all(self) -> None:
        """Leave nobody."""
        for client in self._clients:
            client.reset()
        self.killed += len(self._clients)
        while self._processes:
            self._kill_process()

    def abandon(self) -> None:
        """Stop the processes after a failure."""
        for process in self._processes:
            process.kill()
            process.communicate()


@contextmanager
def victims_of(server: Server, chance: random.Random) -> Iterator[Victims]:
    """Leave no process behind."""
    victims = Victims(server, chance)
    try:
        yield victims
    finally:
        victims.abandon()


class Load:
    """Publishes numbered messages, and knows in which order each topic's subscribers see them."""

    def __init__(self, server: Server) -> None:
        self._publishers = [server.connect() for _ in range(2)]
        self._rest = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        self.published: dict[str, list[int]] = {topic: [] for topic in TOPICS}
        self.expected_deliveries = 0

    def publish(self) -> None:
        """Publish a batch to each topic; return once the server has accepted all of it."""
        for publisher, topic in zip(self._publishers, TOPICS, strict=False):
            for _ in range(BATCH):
                message = {"id": UUID, "payload": self._next(topic)}
                publisher.send(type="publish", topic=topic, message=message)
        for publisher in self._publishers:
            for _ in range(BATCH):
                assert publisher.receive()["type"] == "ack"
        for _ in range(BATCH):
            body = json.dumps({"payload": self._next("counted")})
            self._rest.request(
                "POST", "/topics/counted/messages", body, {"Content-Type": "application/json"}
            )
            with self._rest.getresponse() as response:
                self.expected_deliveries += json.load(response)["subscribers"]

    def _next(self, topic: str) -> int:
        self.published[topic].append(len(self.published[topic]))
        return self.published[topic][-1]

    def close(self) -> None:
        """Close the connection for REST."""
        self._rest.close()


def test_clients_are_killed(
    start_server: StartServer, chance: random.Random, record: Record
) -> None:
    """Survivors see every message once and in order, and the totals are exact."""
    server = start_server()
    for topic in TOPICS:
        server.create_topic(topic)
    with LeavesNoTrace(server) as trace, victims_of(server, chance) as victims:
        survivors = Crowd(server.connect() for _ in range(SURVIVORS))
        for survivor in survivors.frames:
            for topic in TOPICS:
                survivor.send(type="subscribe", topic=topic)
        survivors.take_messages(len(TOPICS))
        load = Load(server)
        seen: dict[Client, dict[str, list[int]]] = {
            survivor: {topic: [] for topic in TOPICS} for survivor in survivors.frames
        }
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            victims.kill_some()
            load.publish()
            for client, events in zip(
                seen, survivors.take_messages(BATCH * len(TOPICS)), strict=True
            ):
                for event in events:
                    assert event["type"] == "event"
                    seen[client][event["topic"]].append(event["message"]["payload"])
        for topics in seen.values():
            assert topics == load.published
        victims.kill_all()
        wait_until(
            lambda: server.request("GET", "/stats")[1]["topics"]["a"]["subscribers"] == SURVIVORS
        )
        for survivor in survivors.frames:
            survivor.assert_nothing_came()
        load.close()
        server.reset_clients()
    check_totals(server, load)
    total = sum(map(len, load.published.values()))
    record(
        f"{victims.killed:,} clients killed in {SECONDS} s, during {total:,} messages",
        f"none of {total * SURVIVORS:,} events for {SURVIVORS} survivors; "
        f"memory grew by {trace.growth / 2**20:.1f} MiB",
    )


def check_totals(server: Server, load: Load) -> None:
    """Compare the statistics with what was published."""
    stats = server.request("GET", "/stats")[1]
    for topic, numbers in load.published.items():
        counters = stats["topics"][topic]
        assert counters["messages"] == len(numbers)
        assert counters["subscribers"] == 0
        assert counters["delivered"] >= len(numbers) * SURVIVORS
    counted = stats["topics"]["counted"]
    assert counted["delivered"] + counted["dropped"] == load.expected_deliveries
    for total in ("messages", "delivered", "dropped"):
        assert stats["totals"][total] == sum(each[total] for each in stats["topics"].values())
    assert stats["totals"]["clients"] == stats["totals"]["subscribers"] == 0
