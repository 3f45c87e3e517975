"""Several processes on one port, started as ``WORKERS=4 make run`` does."""

import os
import re
import signal
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.live.server import Server
from tests.live.waiting import PATIENCE, wait_until

STARTER = "deploy/workers/start.py"


class Workers(Server):
    """The processes, on a free port; ``WORKERS`` of them, four by default."""

    def __init__(self, folder: Path, *command: str, **environment: str) -> None:
        self._folder = folder
        self._number = int(environment.setdefault("WORKERS", "4"))
        environment = {"HOST": "127.0.0.1", "PORT": "0", "TMPDIR": str(folder), **environment}
        super().__init__(*(command or [STARTER]), fork=False, **environment)
        self.wait_until_all_listen(self._number)

    @property
    def pid(self) -> int:
        """The process of the supervisor."""
        return self._process.pid

    def wait_until_all_listen(self, starts: int) -> None:
        """Wait until as many processes have started, those that have ended since included."""
        wait_until(lambda: len(re.findall("Listening on TCP", self.log())) >= starts, self.log)

    def children(self, name: str) -> list[int]:
        """Return the processes whose command line contains a name."""
        ids = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [pid for pid in map(int, ids) if name in command_line(pid)]

    def serving(self) -> list[int]:
        """Return the processes that serve clients."""
        return self.children("serve.py")

    def nats(self) -> list[int]:
        """Return the NATS server, if it runs."""
        return self.children("nats-server")

    def leftovers(self) -> list[str]:
        """Return what is left of the temporary files."""
        return [path.name for path in self._folder.iterdir()]

    def close(self) -> None:
        """Stop the processes, and kill those that do not stop."""
        children = [*self.serving(), *self.nats()] if self._process.poll() is None else []
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(TimeoutError):
                self._process.wait(PATIENCE)
        super().close()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def command_line(pid: int) -> str:
    """Return a process's command line, which is empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def environment(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def connections(pid: int, port: int) -> int:
    """Return how many connections to a port a process has accepted and not closed."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, address, _, state, *_, inode = line.split(maxsplit=10)[:10]
        if state in ("01", "08") and address.endswith(f":{port:04X}"):
            inodes.add(f"socket:[{inode}]")
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            links.append(str(descriptor.readlink()))
    return sum(link in inodes for link in links)


def connect_raw(stack: ExitStack, port: int) -> None:
    """Open a TCP connection, which is closed with the stack."""
    stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
