"""What is measured: the chat room, and what it is measured against.

Each peer speaks as much of the chat room's protocol as the load needs: a subscription and a
publication are acknowledged with their ``request_id``, an event carries a ``ts`` and goes to every
subscriber except its publisher. Each encodes an event once, where its library allows that, and
pings no client, so that only events and replies are counted.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.load.dialects import KEPT_TOPIC, SECRET
from bench.peers import toolchains
from bench.peers.toolchains import Companion

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parents[1]

SUBJECT = "chatroom"
"""The name of the peer that the others are compared with."""


@contextmanager
def nothing(core: int) -> Iterator[Companion]:
    """Run no other process."""
    yield Companion()


@dataclass(frozen=True)
class Peer:
    """A server, and how to start it."""

    name: str
    """The name on the command line and in the results."""

    title: str
    """The title in tables and plots."""

    command: tuple[str, ...]
    """``{port}`` in it becomes the port to listen on."""

    environment: Mapping[str, str] = field(default_factory=dict)

    dialect: str = "chatroom"
    """The wire format that the load has to use (`bench.load.dialects`)."""

    rest: bool = False
    """Whether messages can be published over HTTP."""

    batches: bool = False
    """Whether many messages can be published in one HTTP request."""

    by_group: bool = False
    """Whether it publishes with `group_send`."""

    quick: bool = False
    """Whether it takes part in a quick run."""

    groups: tuple[str, ...] = ()
    """The only groups of scenarios that it takes part in; empty for all."""

    prepare: Callable[[], str | None] = lambda: None
    """Builds or installs what is needed; returns the name of what is missing, if anything is."""

    folder: Path = PROJECT
    """The working directory of the server."""

    companion: Callable[[int], AbstractContextManager[Companion]] = nothing
    """Runs another process that the server needs, on the given core."""

    processes: int = 1
    """How many processes the server has, each on a port of its own."""

    alone: str = ""
    """The peer that is the same server in one process, to compare with."""

    readiness: str = ""
    """The path that answers 200 when the server is ready, if listening is not enough."""


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs a module with this interpreter."""
    return (sys.executable, "-m", module, *arguments)


def daphne(application: str) -> tuple[str, ...]:
    """Return the command that serves an application on Daphne."""
    options = ("--access-log", os.devnull, "--ping-interval", "3600", "--ping-timeout", "3600")
    return python("daphne", "-p", "{port}", *options, application)


def uvicorn(application: str) -> tuple[str, ...]:
    """Return the command that serves an application on uvicorn, with its fastest options."""
    options = ("--no-access-log", "--loop", "uvloop", "--http", "httptools")
    websockets = ("--ws", "websockets-sansio", "--ws-ping-interval", "3600")
    return python("uvicorn", "--port", "{port}", *options, *websockets, application)


def granian(application: str) -> tuple[str, ...]:
    """Return the command that serves an application on granian, with one worker."""
    options = ("--interface", "asgi", "--loop", "uvloop", "--no-access-log")
    return python("granian", "--port", "{port}", *options, "--backpressure", "20000", application)


CHAT_ROOM = "chatroom_project.asgi:application"
CHAT_ROOM_ENVIRONMENT = {
    "CHATROOM_AUTO_CREATE_TOPICS": "true",
    "CHATROOM_PING_INTERVAL": "3600",
    "CHATROOM_TOPICS": json.dumps({KEPT_TOPIC: {"history": 1000}}),
    "DJANGO_SECRET_KEY": "bench",
}
DRAIN_SECONDS = 5

NODE_ENVIRONMENT = {"NODE_PATH": str(toolchains.NODE_MODULES), "NODE_ENV": "production"}

RELAY = "relay"
"""The group of scenarios of one room in two processes."""

LOST_CONNECTIONS = ("jitter", "avalanche")
"""The groups of scenarios in which connections are lost."""

PEERS = (
    Peer(
        SUBJECT,
        "chat room on Daphne",
        daphne(CHAT_ROOM),
        CHAT_ROOM_ENVIRONMENT,
        rest=True,
        batches=True,
        quick=True,
    ),
    Peer(
        "chatroom-relay",
        "two chat rooms, NATS",
        daphne(CHAT_ROOM),
        CHAT_ROOM_ENVIRONMENT,
        rest=True,
        groups=(RELAY, "connections"),
        prepare=toolchains.find_nats,
        companion=toolchains.nats_server,
        processes=2,
        alone=SUBJECT,
        readiness="/readyz",
    ),
    Peer(
        "chatroom-token",
        "chat room on Daphne, with tokens",
        daphne(CHAT_ROOM),
        {**CHAT_ROOM_ENVIRONMENT, "CHATROOM_AUTH": "required", "CHATROOM_JWT_SECRET": SECRET},
        dialect="chatroom-token",
    ),
    Peer(
        "chatroom-views",
        "chat room on Daphne, Django's views",
        daphne("bench.peers.django_views:application"),
        CHAT_ROOM_ENVIRONMENT,
        rest=True,
        batches=True,
    ),
    Peer(
        "chatroom-deflate",
        "chat room on Daphne, compressed",
        daphne(CHAT_ROOM),
        {**CHAT_ROOM_ENVIRONMENT, "CHATROOM_COMPRESSION": "true"},
        dialect="chatroom-deflate",
        groups=("compression",),
    ),
    Peer(
        "chatroom-no-recovery",
        "chat room without recovery",
        daphne(CHAT_ROOM),
        CHAT_ROOM_ENVIRONMENT,
        dialect="chatroom-no-recovery",
        groups=LOST_CONNECTIONS,
    ),
    Peer(
        "chatroom-drain",
        f"chat room with a drain of {DRAIN_SECONDS} s",
        daphne(CHAT_ROOM),
        {**CHAT_ROOM_ENVIRONMENT, "CHATROOM_DRAIN_SECONDS": str(DRAIN_SECONDS)},
        groups=("avalanche",),
    ),
    Peer(
        "chatroom-uvicorn",
        "chat room on uvicorn",
        uvicorn(CHAT_ROOM),
        CHAT_ROOM_ENVIRONMENT,
        rest=True,
        batches=True,
    ),
    Peer(
        "chatroom-granian",
        "chat room on granian",
        granian(CHAT_ROOM),
        CHAT_ROOM_ENVIRONMENT,
        rest=True,
        batches=True,
    ),
    Peer(
        "go",
        "Go, gorilla/websocket",
        (str(toolchains.GO_PROGRAM), "{port}"),
        {"GOMAXPROCS": "1"},
        rest=True,
        quick=True,
        prepare=toolchains.build_go_program,
    ),
    Peer(
        "group-send",
        "group_send, in memory, Daphne",
        daphne("bench.peers.group_send:application"),
        rest=True,
        by_group=True,
        quick=True,
    ),
    Peer(
        "group-send-redis",
        "group_send, Redis, Daphne",
        daphne("bench.peers.group_send:application"),
        rest=True,
        by_group=True,
        prepare=toolchains.find_redis,
        companion=toolchains.redis_server,
    ),
    Peer(
        "group-send-redis-two",
        "two group_send, Redis, Daphne",
        daphne("bench.peers.group_send:application"),
        by_group=True,
        groups=(RELAY,),
        prepare=toolchains.find_redis,
        companion=toolchains.redis_server,
        processes=2,
        alone="group-send",
    ),
    Peer(
        "ordinary",
        "ordinary consumer, Daphne",
        daphne("bench.peers.ordinary:application"),
        rest=True,
        quick=True,
    ),
    Peer(
        "ordinary-uvicorn",
        "ordinary consumer, uvicorn",
        uvicorn("bench.peers.ordinary:application"),
        rest=True,
    ),
    Peer(
        "websockets",
        "websockets.broadcast, uvloop",
        python("bench.peers.websockets_broadcast", "{port}"),
    ),
    Peer(
        "ws",
        "Node.js ws",
        ("node", str(FOLDER / "ws.cjs"), "{port}"),
        NODE_ENVIRONMENT,
        prepare=toolchains.install_ws,
    ),
    Peer(
        "ws-deflate",
        "Node.js ws, compressed",
        ("node", str(FOLDER / "ws.cjs"), "{port}", "deflate"),
        NODE_ENVIRONMENT,
        dialect="chatroom-deflate",
        groups=("compression",),
        prepare=toolchains.install_ws,
    ),
    Peer(
        "socketio-node",
        "Socket.IO, Node.js",
        ("node", str(FOLDER / "socket_io.cjs"), "{port}"),
        NODE_ENVIRONMENT,
        dialect="socketio",
        groups=(*LOST_CONNECTIONS, RELAY),
        prepare=toolchains.install_socket_io,
    ),
    Peer(
        "socketio-node-recovery",
        "Socket.IO with recovery",
        ("node", str(FOLDER / "socket_io.cjs"), "{port}", "recovery"),
        NODE_ENVIRONMENT,
        dialect="socketio",
        groups=LOST_CONNECTIONS,
        prepare=toolchains.install_socket_io,
    ),
    Peer(
        "socketio-node-redis",
        "two Socket.IO, Redis adapter",
        ("node", str(FOLDER / "socket_io.cjs"), "{port}"),
        NODE_ENVIRONMENT,
        dialect="socketio",
        groups=(RELAY,),
        prepare=toolchains.install_socket_io_adapter,
        companion=toolchains.redis_server,
        processes=2,
        alone="socketio-node",
    ),
    Peer(
        "socketio",
        "python-socketio, uvicorn",
        uvicorn("bench.peers.socket_io:application"),
        dialect="socketio",
    ),
)
