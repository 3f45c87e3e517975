"""Calculate what many clients take, from measured unit costs, and print the tables of the page.

The costs are the medians of the scenarios whose names begin with "relay", and of "connect" and
"idle", of the peer chatroom-relay.
"""

import argparse
from pathlib import Path

from bench.peers import PROJECT
from bench.results import Results
from bench.scaling.page import write
from bench.scaling.tables import blocks

RESULTS = PROJECT / "docs/performance/relay.json"


def main() -> None:
    """Print the tables, or write them to a page."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument(
        "--from",
        metavar="FILE",
        type=Path,
        dest="source",
        default=RESULTS,
        help="what `python -m bench --json` wrote (default: docs/performance/relay.json)",
    )
    parser.add_argument("--page", metavar="FILE", type=Path, help="write the tables to this page")
    args = parser.parse_args()
    found = blocks(Results.load(args.source))
    if args.page:
        write(found, args.page)
    else:
        print("\n\n".join(found.values()))


if __name__ == "__main__":
    main()
