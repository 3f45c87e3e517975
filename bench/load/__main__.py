"""Run one load against a server that is up: `python -m bench.load fanout PORT --window 8`.

One JSON object goes to standard output: the figures of the load, and ``generator_share``, the
share of a processor that the generator itself used while it measured.
"""

import argparse
import json
import resource
from collections.abc import Callable
from typing import Any

from bench.load.dialects import DIALECTS
from bench.load.fanout import Fanout
from bench.load.rooms import Rooms

Figures = dict[str, float]


def fanout(args: argparse.Namespace) -> Figures:
    """One publisher, many subscribers."""
    return Fanout(args.port, args.dialect, args.subscribers, args.window).run(args.seconds)


def rooms(args: argparse.Namespace) -> Figures:
    """Rooms whose members all talk."""
    return Rooms(args.port, args.dialect, args.rooms, args.members).run(args.seconds)


LOADS: dict[str, tuple[Callable[[argparse.Namespace], Figures], dict[str, Any]]] = {
    "fanout": (fanout, {"subscribers": 100, "window": 8}),
    "rooms": (rooms, {"rooms": 100, "members": 10}),
}
"""Each load, and what it can be told beside the common arguments."""


def main() -> None:
    """Run the load of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="LOAD")
    for name, (load, options) in LOADS.items():
        command = commands.add_parser(name, help=load.__doc__)
        command.set_defaults(load=load)
        command.add_argument("port", type=int)
        command.add_argument("--pid", type=int, help="of the server, to read its memory")
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
