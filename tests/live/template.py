"""Python processes that take no time to import: forks of one that has imported everything.

A fork runs what ``python -u`` is to run, with its own arguments, environment and output. It has
its own signals, files and exit status, as any process. The modules are imported before there are
any settings, so that each fork reads its own.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from tests.live.waiting import PATIENCE, wait_until

PROJECT = Path(__file__).parents[2]

MODULES = (
    # `daphne.server`, which installs a reactor and opens an event loop, is left to the forks.
    *("twisted.internet.asyncioreactor", "twisted.internet.endpoints", "twisted.internet.ssl"),
    *("daphne.access", "daphne.http_protocol", "daphne.ws_protocol", "autobahn.twisted.websocket"),
    *("channels.routing", "django.core.asgi", "django.contrib.staticfiles.finders"),
    *("django.core.checks", "django.template.loader", "django.core.management"),
    *("servestatic.middleware", "ninja", "nats", "pubsub.apps", "pubsub.api", "pubsub.checks"),
    *("pubsub.console.views", "pubsub.consumers", "pubsub.deployment_checks"),
    *("pubsub.middleware", "pubsub.relay.nats", "pubsub.routing"),
)


class Forked:
    """A process of a `Template`; as much of `subprocess.Popen` as the tests use."""

    def __init__(self, template: "Template", pid: int) -> None:
        self._template = template
        self._status: int | None = None
        self.pid = pid

    def poll(self) -> int | None:
        """Return the exit status, negative after a signal; ``None`` while the process runs."""
        if self._status is None:
            self._status = self._template.ask(poll=self.pid)
        return self._status

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the end of the process; return its exit status."""
        wait_until(lambda: self.poll() is not None, seconds=timeout)
        assert self._status is not None
        return self._status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process at once."""
        self.send_signal(signal.SIGKILL)


class Template:
    """The process that the others are forked from."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-m", "tests.live.template", str(theirs.fileno())],
                cwd=PROJECT,
                pass_fds=[theirs.fileno()],
            )

    def start(self, command: Sequence[str], environment: Mapping[str, str], log: int) -> Forked:
        """Start a process that prints to a descriptor.

        Args:
            command: The arguments of the interpreter: ``-m`` and a module, ``-c`` and code, or
                a file; and what follows.
            environment: All environment variables.
            log: The descriptor.
        """
        return Forked(self, self.ask(log, run=list(command), environment=dict(environment)))

    def ask(self, *descriptors: int, **request: Any) -> Any:
        """Send a request to the process; return the answer."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(request).encode()], descriptors)
            answer = self._socket.recv(1 << 16)
        assert answer, "the template has ended"
        return json.loads(answer)

    def close(self) -> None:
        """End the process. Those forked from it go on."""
        self._socket.close()
        self._process.wait(PATIENCE)


@cache
def template() -> Template:
    """Return the template of this test process; the first call starts it."""
    found = Template()
    atexit.register(found.close)
    return found


def run(*command: str, **environment: str) -> tuple[int, str]:
    """Run a program of the project to its end; return its exit status and all that it printed.

    Args:
        command: The arguments of the interpreter.
        environment: Additional environment variables.
    """
    with tempfile.TemporaryFile("w+") as log:
        process = template().start(command, {**os.environ, **environment}, log.fileno())
        status = process.wait()
        log.seek(0)
        return status, log.read()


# --- In the process of the template -------------------------------------------------------------


def _prepare() -> None:
    """Import what a server needs, and leave no trace of the settings that this takes."""
    from django.conf import settings
    from django.utils.functional import empty

    settings.configure()
    for module in MODULES:
        import_module(module)
    settings._wrapped = empty
    gc.collect()
    gc.freeze()  # so that no collection of a fork has to copy all of it
    assert "twisted.internet.reactor" not in sys.modules


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Answer requests; return one that is to be executed, or ``None`` at the end."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 1)
        if not message:
            return None
        request: dict[str, Any] = json.loads(message)
        if "poll" in request:
            ended, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        else:
            answer = os.fork()
            if answer == 0:
                for stream in (1, 2):
                    os.dup2(descriptors[0], stream)
                os.close(descriptors[0])
                return request
            os.close(descriptors[0])
        requests.send(json.dumps(answer).encode())


def _main() -> None:
    # Ctrl-C reaches the whole process group; the test run ends the template when it is done.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _prepare()
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        request = _serve(requests)
    if request is None:
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["run"]
    if sys.argv[0] == "-m":
        del sys.argv[0]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    elif sys.argv[0] == "-c":
        exec(sys.argv.pop(1), {"__name__": "__main__"})
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _main()
