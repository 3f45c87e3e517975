"""What a measurement depends on: the commit, the machine, and the versions of everything."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.peers.toolchains import IOREDIS, SOCKET_IO, SOCKET_IO_ADAPTER, WS, nats_version

PACKAGES = (
    *("daphne", "channels", "django", "twisted", "autobahn", "channels-redis", "redis"),
    "nats-py",
    *("uvicorn", "uvloop", "httptools", "granian", "websockets", "python-socketio"),
)
TOOLS = {
    "go": ("go", "version"),
    "node": ("node", "--version"),
    "redis-server": ("redis-server", "--version"),
}


def describe() -> dict[str, Any]:
    """Return all of that, ready for JSON."""
    return {
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{platform.system()} {platform.release()}",
        "versions": versions(),
    }


def commit() -> str:
    """Return the commit of the working tree, and whether there are uncommitted changes."""
    name = _output("git", "rev-parse", "--short", "HEAD")
    changed = _output("git", "status", "--porcelain", "--", ".", ":!docs")
    return f"{name or 'unknown'}{' with changes' if changed else ''}"


def cpu() -> str:
    """Return the processor's model, as the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages and tools."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    for tool, command in TOOLS.items():
        if number := re.search(r"\d+(\.\d+)+", _output(*command)):
            found[tool] = number[0]
    if version := nats_version():
        found["nats-server"] = version
    npm = (WS, SOCKET_IO, SOCKET_IO_ADAPTER, IOREDIS)
    return found | {name: version for name, _, version in (one.rpartition("@") for one in npm)}


def _output(*command: str) -> str:
    """Return the output of a command; it is empty if the command fails or does not exist."""
    if not shutil.which(command[0]):
        return ""
    folder = Path(__file__).parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
