"""Measure the chat room beside its peers, interleaved, each on a processor core of its own."""

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import machine
from bench.peers import PEERS, Peer
from bench.report import terminal_table
from bench.results import Results
from bench.runner import Cores, Runner
from bench.scenarios import SCENARIOS, Scenario

SPARE_DESCRIPTORS = 100


def parse_arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the core of it, in two minutes")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="for each measurement")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", nargs="+", metavar="NAME", choices=names, help="see --list")
    names = [peer.name for peer in PEERS]
    parser.add_argument("--peer", nargs="+", metavar="NAME", choices=names, help="see --list")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples there")
    parser.add_argument("--page", metavar="FILE", type=Path, help="write tables and plots there")
    parser.add_argument(
        "--from", metavar="FILE", type=Path, dest="source", help="measure nothing, read that JSON"
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and the peers")
    return parser.parse_args()


def selected(args: argparse.Namespace) -> tuple[list[Peer], list[Scenario]]:
    """Return the peers and scenarios that are asked for."""
    peers = [peer for peer in PEERS if (peer.name in args.peer if args.peer else True)]
    scenarios = [one for one in SCENARIOS if (one.name in args.scenario if args.scenario else True)]
    if args.quick:
        peers = [peer for peer in peers if peer.quick or args.peer]
        scenarios = [scenario for scenario in scenarios if scenario.quick or args.scenario]
    return peers, scenarios


def without_impossible(
    peers: Sequence[Peer], scenarios: Sequence[Scenario], results: Results
) -> tuple[list[Peer], list[Scenario]]:
    """Leave out what cannot run here, each with a word."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    possible = []
    for scenario in scenarios:
        if scenario.connections + SPARE_DESCRIPTORS <= limit:
            possible.append(scenario)
        else:
            print(f"skipped: {scenario.title}: needs more files than `ulimit -Hn` allows, {limit}")
    ready = []
    for peer in peers:
        if missing := peer.prepare():
            results.skipped[peer.name] = missing
            print(f"skipped: {peer.title}: missing: {missing}")
        else:
            ready.append(peer)
    return ready, possible


def measure(args: argparse.Namespace) -> Results:
    """Measure what is asked for; return what there is when that is interrupted."""
    about = {"runs": args.runs, "seconds": args.seconds, **machine.describe()}
    results = Results(about=about)
    peers, scenarios = without_impossible(*selected(args), results)
    cores = Cores.available()
    if cores.shared:
        print("only one processor core: the load generator takes its time from the server")
    begin = time.monotonic()

    def say(line: str) -> None:
        elapsed = int(time.monotonic() - begin)
        print(f"{elapsed // 60:3}:{elapsed % 60:02}  {line}", flush=True)

    try:
        Runner(cores, args.seconds, say).run(peers, scenarios, args.runs, results)
    except KeyboardInterrupt:
        print("stopped; what there is so far:")
    return results


def main() -> None:
    """Do what the command line asks for."""
    args = parse_arguments()
    if args.list:
        for one in (*SCENARIOS, *PEERS):
            print(f"{one.name:<24}{one.title}")
        return
    results = Results.load(args.source) if args.source else measure(args)
    for line in terminal_table(results):
        print(line)
    if args.json:
        results.save(args.json)
    if args.page:
        from bench import documentation  # needs matplotlib, and nothing else here does

        documentation.write(results, args.page)
    if any("chatroom" in failed for failed in results.failures.values()):
        sys.exit("the chat room failed")


if __name__ == "__main__":
    main()
