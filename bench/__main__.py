"""Measure the chat room beside its peers, interleaved; server and load on a core each.

With --against it is measured beside another checkout of itself instead, scenario by scenario, and
the ratios say whether a change costs speed.
"""

import argparse
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import checkout, machine
from bench.comparison import comparison_table
from bench.peers import PEERS, SUBJECT, Peer
from bench.report import failures, terminal_table
from bench.results import Results
from bench.runner import Cores, Runner
from bench.scenarios import SCENARIOS, Scenario

SPARE_DESCRIPTORS = 100
RUNS, RUNS_AGAINST = 3, 7

EXAMPLES = """\
examples:
  python -m bench --quick                         the main scenarios, beside the main peers
  python -m bench --against HEAD~3                beside a commit, in a temporary worktree
  python -m bench --against ../other --runs 11    beside a checkout in another folder
  python -m bench --against main --scenario connect idle
"""


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="measure the main scenarios and peers only, in two minutes",
    )
    parser.add_argument(
        "--against",
        metavar="CHECKOUT",
        help="compare with another checkout of this project: a folder, whose own .venv is used if "
        "it has one, or a commit, which is checked out in a temporary git worktree; measures "
        "fan-out, rooms, handshakes and memory unless --scenario is given, and prints the ratio "
        "this / other of each (the other way round where less is better, so above 1 is better)",
    )
    parser.add_argument(
        "--runs", type=int, help=f"default: {RUNS}, or {RUNS_AGAINST} with --against"
    )
    parser.add_argument(
        "--seconds", type=float, default=3, help="for each measurement (default: %(default)s)"
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenario", nargs="+", metavar="NAME", choices=names, help="see --list")
    names = [peer.name for peer in PEERS]
    parser.add_argument("--peer", nargs="+", metavar="NAME", choices=names, help="see --list")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all samples to this file")
    parser.add_argument(
        "--page", metavar="FILE", type=Path, help="write tables and plots to this page"
    )
    parser.add_argument(
        "--from",
        metavar="FILE",
        type=Path,
        dest="source",
        help="measure nothing, and read this file that --json wrote",
    )
    parser.add_argument("--list", action="store_true", help="list the scenarios and the peers")
    args = parser.parse_args()
    if args.against and args.peer:
        parser.error("--against compares two checkouts, without other peers")
    if args.runs is None:
        args.runs = RUNS_AGAINST if args.against else RUNS
    return args


def selected(
    args: argparse.Namespace, other: Sequence[Peer] = ()
) -> tuple[list[Peer], list[Scenario]]:
    """Return the peers and scenarios that the command line selects.

    Args:
        args: The command line.
        other: The checkout to compare with, if there is one.
    """
    if other:
        peers = [peer for peer in PEERS if peer.name == SUBJECT]
        chosen = args.scenario or [one.name for one in SCENARIOS if one.compared]
        return [*peers, *other], [one for one in SCENARIOS if one.name in chosen]
    peers = [peer for peer in PEERS if (peer.name in args.peer if args.peer else True)]
    scenarios = [
        one for one in SCENARIOS if (one.name in args.scenario if args.scenario else not one.named)
    ]
    if args.quick:
        peers = [peer for peer in peers if peer.quick or args.peer]
        scenarios = [scenario for scenario in scenarios if scenario.quick or args.scenario]
    return peers, scenarios


def without_impossible(
    peers: Sequence[Peer], scenarios: Sequence[Scenario], results: Results
) -> tuple[list[Peer], list[Scenario]]:
    """Leave out what cannot run here, with a message for each."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    possible = []
    for scenario in scenarios:
        if scenario.connections + SPARE_DESCRIPTORS <= limit:
            possible.append(scenario)
        else:
            print(f"skipped: {scenario.title}: `ulimit -Hn` allows only {limit} open files")
    ready = []
    for peer in peers:
        if missing := peer.prepare():
            results.skipped[peer.name] = missing
            print(f"skipped: {peer.title}: missing: {missing}")
        else:
            ready.append(peer)
    return ready, possible


def measure(args: argparse.Namespace) -> Results:
    """Measure what the command line selects; if interrupted, return the results so far."""
    about = {"runs": args.runs, "seconds": args.seconds, **machine.describe()}
    results = Results(about=about)
    with other_checkout(args.against) as other:
        if other:
            about["against"] = other[0].title
        peers, scenarios = without_impossible(*selected(args, other), results)
        run(args, peers, scenarios, results)
    return results


@contextmanager
def other_checkout(where: str | None) -> Iterator[Sequence[Peer]]:
    """Give the checkout to compare with, or nothing when none is asked for."""
    if where is None:
        yield ()
        return
    try:
        with checkout.checked_out(where) as peer:
            yield (peer,)
    except checkout.NoCheckout as error:
        sys.exit(f"--against: {error}")


def run(
    args: argparse.Namespace,
    peers: Sequence[Peer],
    scenarios: Sequence[Scenario],
    results: Results,
) -> None:
    """Measure these scenarios of these peers."""
    cores = Cores.available()
    if cores.shared:
        print("only one processor core: the load generator slows the server down")
    begin = time.monotonic()

    def say(line: str) -> None:
        elapsed = int(time.monotonic() - begin)
        print(f"{elapsed // 60:3}:{elapsed % 60:02}  {line}", flush=True)

    try:
        runner = Runner(cores, args.seconds, say)
        measure_all = runner.run_side_by_side if args.against else runner.run
        measure_all(peers, scenarios, args.runs, results)
    except KeyboardInterrupt:
        print("stopped; the results so far:")


def main() -> None:
    """Run the benchmark."""
    args = parse_arguments()
    if args.list:
        for one in (*SCENARIOS, *PEERS):
            print(f"{one.name:<24}{one.title}")
        return
    results = Results.load(args.source) if args.source else measure(args)
    if against := results.about.get("against"):
        print(f"\nthis checkout ({results.about['commit']}) beside the {against}")
        table = comparison_table(results, checkout.NAME)
    else:
        table = terminal_table(results)
    for line in (*table, *failures(results)):
        print(line)
    if args.json:
        results.save(args.json)
    if args.page:
        from bench import documentation  # needs matplotlib, and nothing else here does

        documentation.write(results, args.page)
    if any(SUBJECT in failed for failed in results.failures.values()):
        sys.exit("the chat room failed")


if __name__ == "__main__":
    main()
