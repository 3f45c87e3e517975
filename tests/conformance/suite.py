"""The Autobahn test suite as a process, under the only Python that it runs on."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

CACHE = Path(__file__).parent / ".cache"
PACKAGE = "autobahntestsuite==25.10.1"

COMPRESSION = ("12.*", "13.1.*", "13.2.*", "13.4.*", "13.6.*", "13.7.*")
"""The cases of compression, which take an hour. The others of 13 offer nothing but a window of
512 bytes, which the server declines."""

SECTIONS = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*")
"""All but those of compression; the suite has no 8 and 11."""

START = "import site; site.addsitedir({folder!r}); from autobahntestsuite.wstest import run; run()"

TIMEOUT = 7200.0
"""Seconds that a run may take; it takes some minutes, and an hour with compression."""

OK, NON_STRICT, INFORMATIONAL, FAILED = VERDICTS = ("OK", "NON-STRICT", "INFORMATIONAL", "FAILED")

AT_END = {
    "OK": OK,
    "INFORMATIONAL": INFORMATIONAL,
    "WRONG CODE": NON_STRICT,
    "FAILED BY CLIENT": NON_STRICT,
}
"""What the suite's words for the end of the connection mean; it colors them so in its own pages.
"FAILED BY CLIENT" is a server that has not closed the connection a second after the handshake."""

RANK = {OK: 0, INFORMATIONAL: 0, NON_STRICT: 1, FAILED: 2}
"""How bad a verdict is. An informational case has no right answer."""


class Unavailable(Exception):
    """The suite cannot run here; the message says what is missing."""


def find_python() -> str:
    """Return a Python 2.7.

    Raises:
        Unavailable: There is none.
    """
    installed = sorted(Path.home().glob(".pyenv/versions/2.7*/bin/python2.7"))
    for candidate in (*map(str, installed), shutil.which("python2.7")):
        # What pyenv puts into the search path may only say that no version is chosen.
        if candidate and _succeeds([candidate, "-c", ""]):
            return candidate
    raise Unavailable("Python 2.7, which the Autobahn test suite needs")


def install(python: str) -> Path:
    """Return the folder that the suite is installed in, and install it unless that is done.

    Raises:
        Unavailable: It cannot be installed.
    """
    folder = CACHE / PACKAGE.replace("==", "-")
    if folder.exists():
        return folder
    CACHE.mkdir(exist_ok=True)
    unfinished = folder.with_suffix(f".{os.getpid()}")
    command = [python, "-m", "pip", "install", "--quiet", "--target", str(unfinished), PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise Unavailable(f"{PACKAGE}, which pip does not install: {reason}")
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def start(
    python: str, folder: Path, url: str, output: Path, cases: Sequence[str] = SECTIONS
) -> "subprocess.Popen[bytes]":
    """Start the suite against the server at a URL; its report goes to a folder."""
    output.mkdir(parents=True)
    specification = output / "specification.json"
    specification.write_text(
        json.dumps(
            {
                "outdir": str(output),
                "servers": [{"agent": "server", "url": url}],
                "cases": list(cases),
                "exclude-cases": [],
                "exclude-agent-cases": {},
            }
        )
    )
    with (output / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [
                *(python, "-W", "ignore", "-c", START.format(folder=str(folder))),
                *("--mode", "fuzzingclient", "--spec", str(specification)),
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=output,
        )


def read_report(output: Path) -> dict[str, str]:
    """Return the verdict on each case.

    Raises:
        FileNotFoundError: The suite has not come to its end.
    """
    report: Mapping[str, Mapping[str, str]] = json.loads((output / "index.json").read_text())[
        "server"
    ]
    return {case: verdict(result) for case, result in report.items()}


def verdict(result: Mapping[str, str]) -> str:
    """Return one of `VERDICTS`: the worse of those on the messages and on the end."""
    behavior = result["behavior"] if result["behavior"] in VERDICTS else FAILED
    at_end = AT_END.get(result["behaviorClose"], FAILED)
    return max(behavior, at_end, key=RANK.__getitem__)


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
