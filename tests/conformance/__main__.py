"""Run the Autobahn test suite against an echo on our transport and one on Daphne's own.

It prints how many cases of each section pass, and every case in which ours does worse. The exit
status is 1 if there is one, if a case fails on ours, or if our server's log has a complaint.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.conformance import suite
from tests.conformance.ours import MAX_MESSAGE_BYTES
from tests.conformance.table import shortcomings, table
from tests.live.server import Server

SERVERS = {"ours": "tests.conformance.echo:ours", "Daphne's": "tests.conformance.echo:reference"}
"""The applications, by the names that the table has for them."""


def serve(application: str) -> Server:
    """Start a server that takes messages as long as the suite sends."""
    limits = [f"--websocket-max-{what}-size={MAX_MESSAGE_BYTES}" for what in ("message", "frame")]
    return Server("-m", "daphne", "-p", "0", *limits, application)


def run(python: str, folder: Path, cases: Sequence[str], output: Path) -> dict[str, dict[str, str]]:
    """Test both servers at the same time; return the verdicts on each.

    Raises:
        RuntimeError: The suite has not come to its end, or our server has complained.
    """
    with ExitStack() as stack:
        servers, runs = {}, {}
        for name, application in SERVERS.items():
            servers[name] = server = serve(application)
            stack.callback(server.close)
            runs[name] = process = suite.start(
                python, folder, f"ws://127.0.0.1:{server.port}", output / name, cases
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        deadline = time.monotonic() + suite.TIMEOUT
        for name, process in runs.items():
            if process.wait(deadline - time.monotonic()):
                raise RuntimeError((output / name / "log.txt").read_text())
        if complaints := servers["ours"].complaints():
            raise RuntimeError("\n".join(complaints))
    return {name: suite.read_report(output / name) for name in SERVERS}


def main() -> int:
    """Do what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument(
        "cases",
        nargs="*",
        help="the cases to run, like 2.* or 5.19; by default all without compression",
    )
    parser.add_argument(
        "--compression",
        action="store_true",
        help="run the cases of compression, which take an hour",
    )
    parser.add_argument("--report", type=Path, help="keep the suite's own pages in this folder")
    args = parser.parse_args()
    cases = args.cases or (suite.COMPRESSION if args.compression else suite.SECTIONS)
    try:
        python = suite.find_python()
        folder = suite.install(python)
    except suite.Unavailable as missing:
        sys.stdout.write(f"The Autobahn test suite is skipped: missing: {missing}.\n")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        output = (args.report or Path(temporary)).resolve()
        verdicts = run(python, folder, cases, output)
    ours, reference = verdicts.values()
    sys.stdout.writelines(f"{line}\n" for line in table(ours, reference))
    return 1 if shortcomings(ours, reference) else 0


if __name__ == "__main__":
    sys.exit(main())
