"""Run one load against a server that is up: `python -m bench.load fanout PORT --window 8`.

One JSON object goes to standard output: the figures of the load, and ``generator_share``, the
share of a processor that the generator itself used while it measured.
"""

import argparse
import json
import resource
from collections.abc import Callable
from typing import Any

from bench.load import (
    avalanche,
    compression,
    connections,
    fairness,
    jitter,
    memory,
    questions,
    relay,
    rest,
    roundtrip,
)
from bench.load.batch import Batch
from bench.load.dialects import DIALECTS
from bench.load.fanout import Fanout
from bench.load.rooms import Rooms

Figures = dict[str, float]
Load = Callable[[argparse.Namespace], Figures]

LOADS: dict[str, tuple[str, Load, dict[str, Any]]] = {
    "fanout": (
        "one publisher, many subscribers",
        lambda of: Fanout(of.port, of.dialect, of.subscribers, of.window, of.pid).run(of.seconds),
        {"subscribers": 100, "window": 8},
    ),
    "rooms": (
        "rooms whose members all publish",
        lambda of: Rooms(of.port, of.dialect, of.rooms, of.members, of.pid).run(of.seconds),
        {"rooms": 100, "members": 10},
    ),
    "roundtrip": (
        "latency at a fixed rate, or at a percentage of the maximum",
        lambda of: roundtrip.run(of.port, of.dialect, of.seconds, of.rate, of.percent),
        {"rate": 0, "percent": 30},
    ),
    "connect": (
        "handshakes",
        lambda of: connections.connect(of.port, of.dialect, of.pid, of.count),
        {"count": 2000},
    ),
    "rest": (
        "publications over HTTP",
        lambda of: rest.run(of.port, of.dialect, of.seconds, of.connections, of.pid),
        {"connections": 8},
    ),
    "batch": (
        "batches of publications over HTTP",
        lambda of: Batch(of.port, of.dialect, of.subscribers, of.size, of.pid).run(of.seconds),
        {"subscribers": 10, "size": 1000},
    ),
    "idle": (
        "memory of silent subscribers",
        lambda of: memory.idle(of.port, of.dialect, of.pid, of.count, of.warm_up),
        {"count": 2000, "warm-up": 200},
    ),
    "stalled": (
        "memory with a subscriber that never reads",
        lambda of: memory.stalled(of.port, of.dialect, of.pid, of.messages),
        {"messages": 50_000},
    ),
    "flood": (
        "memory with a client that floods and never reads",
        lambda of: memory.Flood(of.port, of.dialect, of.pid).run(of.flood),
        {"flood": 5},
    ),
    "fairness": (
        "pings beside publications to very many subscribers",
        lambda of: fairness.run(of.port, of.dialect, of.subscribers, of.seconds),
        {"subscribers": 10_000},
    ),
    "questions": (
        "pings beside questions about a large room",
        lambda of: questions.run(
            of.port,
            of.dialect,
            of.pid,
            questions.Room(of.clients, of.topics, of.each, of.askers),
            of.seconds,
        ),
        {"clients": 10_000, "topics": 10_000, "each": 100, "askers": 10},
    ),
    "compression": (
        "the cost of a delivery of 2 KiB at a fixed rate",
        lambda of: compression.run(
            of.port, of.dialect, of.pid, of.subscribers, of.rate, of.seconds
        ),
        {"subscribers": 100, "rate": 100},
    ),
    "jitter": (
        "clients that lose their connections at random",
        lambda of: jitter.run(
            of.port,
            of.dialect,
            of.pid,
            of.clients,
            of.messages,
            jitter.Profile(of.outage_ms / 1000, of.connected_ms / 1000),
            of.seed,
        ),
        {"clients": 1000, "messages": 750, "outage-ms": 2000, "connected-ms": 10_000, "seed": 1},
    ),
    "avalanche": (
        "SIGTERM with clients connected, which come back; the caller starts the server again",
        lambda of: avalanche.run(
            of.port, of.dialect, of.pid, of.clients, of.rate, of.margin_ms / 1000, of.seed
        ),
        {"clients": 5000, "rate": 2, "margin-ms": 2000, "seed": 1},
    ),
    "relay-fan-out": (
        "one publisher, subscribers on two processes",
        lambda of: relay.fan_out(room(of), of.subscribers, of.window, of.burst, of.seconds),
        {"subscribers": 500, "window": 8, "burst": 1},
    ),
    "relay-latency": (
        "how much later messages arrive at the second process",
        lambda of: relay.latency(room(of), of.rate, of.seconds),
        {"rate": 1000},
    ),
    **{
        f"relay-{wanted}": (
            f"what publications cost the second process, whose client wants {what}",
            # Each function keeps its own value of the loop variable.
            lambda of, wanted=wanted: relay.interest(room(of), wanted, of.seconds),
            {},
        )
        for wanted, what in (
            ("unwanted", "nothing of their partition"),
            ("neighbour", "another topic of their partition"),
            ("wanted", "the same topic"),
        )
    },
    "relay-history": (
        "publications to a topic with history, with a subscriber on each process",
        lambda of: relay.history(room(of), of.publishers, of.seconds),
        {"publishers": 64},
    ),
    "relay-topics": (
        "creation of topics, and the memory that each takes",
        lambda of: relay.topics(room(of), of.count),
        {"count": 2000},
    ),
    "stop": (
        "SIGTERM with clients connected",
        lambda of: connections.stop(of.port, of.dialect, of.pid, of.count),
        {"count": 1000},
    ),
}
"""Each load: a description, the function that runs it, and options with their defaults."""


def room(of: argparse.Namespace) -> relay.Room:
    """Return the processes that the command line names."""
    return relay.Room(of.dialect, of.port, of.pid, of.other_port, of.other_pid, of.broker_pid)


def main() -> None:
    """Run the load of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="LOAD")
    for name, (what, load, options) in LOADS.items():
        command = commands.add_parser(name, help=what)
        command.set_defaults(load=load)
        command.add_argument("port", type=int)
        command.add_argument("--pid", type=int, help="of the server, to read its memory")
        command.add_argument("--other-port", type=int, help="of a second process of the server")
        command.add_argument("--other-pid", type=int, help="of that process")
        command.add_argument("--broker-pid", type=int, help="of what carries messages between them")
        command.add_argument("--dialect", choices=DIALECTS, default="chatroom")
        command.add_argument("--seconds", type=float, default=3)
        for option, default in options.items():
            command.add_argument(f"--{option}", type=int, default=default)
    args = parser.parse_args()
    args.dialect = DIALECTS[args.dialect]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(args.load(args)))


if __name__ == "__main__":
    main()
