"""Publishing from processes of the project that serve nobody."""

import json
import os
import subprocess
import sys
from typing import Any

from tests.cluster.processes.room import Room, payloads
from tests.live.server import PROJECT

PRELUDE = """
import asyncio, json, os, sys
import django
django.setup()
import pubsub
results = []
def attempt(function, *arguments, **options):
    try:
        results.append(function(*arguments, **options))
    except Exception as error:
        results.append(type(error).__name__)
"""


def run(room: Room, code: str) -> Any:
    """Run code of the project in a process of its own; return what it collects in ``results``."""
    process = subprocess.run(
        [sys.executable, "-c", PRELUDE + code + "\nprint(json.dumps(results))"],
        cwd=PROJECT,
        env={
            **os.environ,
            "CHATROOM_RELAY": room.nats.url,
            "DJANGO_SETTINGS_MODULE": "chatroom_project.settings",
            # From Python 3.12 on, a fork in a process with threads, as any connected one, warns.
            "PYTHONWARNINGS": "ignore:This process:DeprecationWarning",
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert process.stderr == ""
    return json.loads(process.stdout.splitlines()[-1])


def test_same_results_and_errors(room: Room) -> None:
    """The number of subscribers and the errors are those that a serving process would give."""
    a, b, _ = room.servers
    a.create_topic("plain")
    subscribers = [server.subscriber("plain") for server in (a, a, b)]
    results = run(
        room,
        """
attempt(pubsub.publish, "plain", {"n": 1})
attempt(pubsub.publish, "missing", 1)
attempt(pubsub.publish, "no name", 1)
attempt(pubsub.create_topic, "kept", history=10)
attempt(pubsub.create_topic, "kept")
id = "550e8400-e29b-41d4-a716-446655440000"
attempt(pubsub.publish, "kept", 1, message_id=id, once=True)
attempt(pubsub.publish, "kept", 2, message_id=id, once=True)
attempt(lambda: asyncio.run(pubsub.apublish("plain", {"n": 2})))
attempt(pubsub.delete_topic, "missing")
attempt(pubsub.create_topic, "gone")
attempt(pubsub.delete_topic, "gone")
""",
    )
    assert results == [
        *(3, "TopicNotFound", "InvalidTopicName", None, "TopicExists", 0, 0, 3, "TopicNotFound"),
        *(None, None),
    ]
    for subscriber in subscribers:
        assert payloads(subscriber, 2) == [{"n": 1}, {"n": 2}]
    messages = b.request("GET", "/topics/kept/messages")[1]["messages"]
    assert [message["message"]["payload"] for message in messages] == [1]
    processes = a.request("GET", "/health")[1]["processes"]
    assert len(processes) == 3


def test_after_a_fork(room: Room) -> None:
    """A forked child has a connection of its own, and both go on."""
    a, _, c = room.servers
    a.create_topic("plain")
    subscriber = c.subscriber("plain")
    results = run(
        room,
        """
attempt(pubsub.publish, "plain", "parent")
child = os.fork()
if not child:
    status = 0 if pubsub.publish("plain", "child") == 1 else 1
    from pubsub import background
    background.leave()
    os._exit(status)
results.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
attempt(pubsub.publish, "plain", "parent again")
""",
    )
    assert results == [1, 0, 1]
    assert payloads(subscriber, 3) == ["parent", "child", "parent again"]


def test_what_was_published_last_arrives(room: Room) -> None:
    """What a process publishes right before its end is delivered."""
    a, b, _ = room.servers
    a.create_topic("plain")
    subscriber = b.subscriber("plain")
    run(room, 'for n in range(1000): pubsub.publish("plain", n)')
    assert payloads(subscriber, 1000) == list(range(1000))
