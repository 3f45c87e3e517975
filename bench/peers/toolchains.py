"""Go, Node.js and Redis, which some peers need. Whatever is built is kept in ``.cache/``."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(__file__).parent
CACHE = FOLDER.parent / ".cache"
GO_PROGRAM = CACHE / "gorilla"
GO_SOURCE = FOLDER / "gorilla.go"
GO_PATH = "/usr/share/gocode"
NODE_MODULES = CACHE / "node_modules"
WS = "ws@8.23.0"
SOCKET_IO = "socket.io@4.8.4"


def _run(*command: str, **environment: str) -> str | None:
    """Run a command; return the last line of its error output if it fails."""
    CACHE.mkdir(exist_ok=True)
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or [f"{command[0]} failed"])[-1]


def build_go_program() -> str | None:
    """Compile the Go program, unless it is up to date; return what is missing."""
    if not shutil.which("go"):
        return "Go (Debian: golang-go)"
    if not Path(GO_PATH, "src/github.com/gorilla/websocket").exists():
        return "gorilla/websocket (Debian: golang-github-gorilla-websocket-dev)"
    if GO_PROGRAM.exists() and GO_PROGRAM.stat().st_mtime > GO_SOURCE.stat().st_mtime:
        return None
    command = ("go", "build", "-o", str(GO_PROGRAM), str(GO_SOURCE))
    return _run(*command, GO111MODULE="off", GOPATH=GO_PATH)


def install_ws() -> str | None:
    """Install the package ``ws``, unless it is installed; return what is missing."""
    return _install(WS)


def install_socket_io() -> str | None:
    """Install the package ``socket.io``, unless it is installed; return what is missing."""
    return _install(SOCKET_IO)


def _install(package: str) -> str | None:
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            return f"{tool} (Node.js)"
    name, _, version = package.partition("@")
    description = NODE_MODULES / name / "package.json"
    if description.exists() and f'"version": "{version}"' in description.read_text():
        return None
    options = ("--silent", "--no-audit", "--no-fund", "--prefix", str(CACHE))
    return _run("npm", "install", *options, package)


def find_redis() -> str | None:
    """Look for Redis; return what is missing."""
    return None if shutil.which("redis-server") else "redis-server (Debian: redis-server)"


@contextmanager
def redis_server(core: int) -> Iterator[Mapping[str, str]]:
    """Run Redis on this core, without persistence, on a Unix socket in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder, "redis.sock")
        process = subprocess.Popen(
            [
                *("redis-server", "--port", "0", "--unixsocket", str(address)),
                *("--save", "", "--appendonly", "no", "--dir", folder),
            ],
            stdout=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
        try:
            while not address.exists():
                if process.poll() is not None:
                    raise RuntimeError("redis-server does not start")
                time.sleep(0.01)
            yield {"BENCH_REDIS": f"unix://{address}"}
        finally:
            process.terminate()
            process.wait()
