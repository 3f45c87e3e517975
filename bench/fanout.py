"""Fan-out of the chat room beside an ordinary Channels consumer, both on Daphne, in turn.

    python -m bench.fanout [--runs 3] [--subscribers 100] [--windows 1 8 32]

The server has one processor core, the load generator another. The table shows medians with their
spread, and the ratio of the medians.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

SERVERS = {
    "ordinary consumer": "bench.peers.ordinary:application",
    "chat room": "chatroom_project.asgi:application",
}
SERVER_CORE, LOAD_CORE = sorted(os.sched_getaffinity(0))[:2]


@contextmanager
def daphne(application: str) -> Iterator[tuple[int, int]]:
    """Serve an application on a free port, pinned to its core; give the port and the process id."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "daphne", "-p", "0", "--access-log", os.devnull, application],
        stderr=subprocess.PIPE,
        text=True,
    )
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"Listening on TCP address .*:(\d+)", line):
                yield int(found[1]), process.pid
                return
        raise RuntimeError(f"{application} does not start")
    finally:
        process.terminate()
        process.communicate()


def post(port: int, path: str, body: bytes) -> None:
    """Make a REST request."""
    url = f"http://127.0.0.1:{port}{path}"
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers)).close()


def measure(application: str, subscribers: int, window: int, seconds: float) -> dict[str, float]:
    """Start the server, run the load against it, and return the load's figures."""
    with daphne(application) as (port, _):
        if application == SERVERS["chat room"]:
            post(port, "/topics", b'{"name":"bench"}')
        load = subprocess.run(
            [
                *("taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "bench.load", str(port)),
                *("--subscribers", str(subscribers), "--window", str(window)),
                *("--seconds", str(seconds)),
            ],
            stdout=subprocess.PIPE,
            check=True,
        )
        figures: dict[str, float] = json.loads(load.stdout)
        return figures


def main() -> None:
    """Measure, in turn, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--subscribers", type=int, default=100)
    parser.add_argument("--windows", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=3)
    args = parser.parse_args()
    print(f"{args.subscribers} subscribers, deliveries a second: median (lowest to highest)")
    for window in args.windows:
        runs: dict[str, list[float]] = {name: [] for name in SERVERS}
        for _ in range(args.runs):
            for name, application in SERVERS.items():
                figures = measure(application, args.subscribers, window, args.seconds)
                runs[name].append(figures["deliveries_per_second"])
                if figures["generator_cpu_share"] > 0.9:
                    print(f"  the load generator was the limit of a run of the {name}")
        medians = {name: statistics.median(values) for name, values in runs.items()}
        for name, values in runs.items():
            print(
                f"  window {window:>2}  {name:<18} {medians[name]:>11,.0f} "
                f"({min(values):,.0f} to {max(values):,.0f})"
            )
        ratio = medians["chat room"] / medians["ordinary consumer"]
        print(f"  window {window:>2}  {'ratio':<18} {ratio:>11.1f}")


if __name__ == "__main__":
    main()
