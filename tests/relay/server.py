"""A NATS server under test, on a port of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.live.waiting import wait_until

PROGRAM = Path(sys.executable).with_name("nats-server")

CONFIGURATION = """
host: 127.0.0.1
port: {port}
ports_file_dir: {folder}
pid_file: {folder}/nats.pid
{more}
"""

JETSTREAM = """
jetstream { store_dir: {folder}/store, max_memory_store: 16GiB, max_file_store: 16GiB }
"""


class NatsServer:
    """A NATS server in a folder of its own; it runs from the start of a ``with`` to its end.

    It keeps its port when it is stopped and started again.

    Args:
        configuration: More lines for its configuration file. ``{folder}`` is its folder.
        jetstream: Whether it stores anything.
    """

    def __init__(self, configuration: str = "", *, jetstream: bool = True) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nats-"))
        self.port = 0
        configuration += JETSTREAM if jetstream else ""
        self._configuration = configuration.replace("{folder}", str(self.folder))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for clients, without credentials."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of the process, which must be running."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the server has been started, and neither stopped nor killed since."""
        return self._process is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start the server, on the port that it had before, and wait until it answers."""
        text = CONFIGURATION.format(
            port=self.port or -1, folder=self.folder, more=self._configuration
        )
        path = self.folder / "nats.conf"
        path.write_text(text)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-c", path], stdout=log, stderr=log)
        wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        """Return whether the file with the ports is there, which the server writes when ready."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the server does not start:\n{self.log()}")
        path = self.folder / f"nats-server_{self._process.pid}.ports"
        try:
            urls = json.loads(path.read_text())["nats"]
        except (FileNotFoundError, ValueError):  # not there, or not completely
            return False
        self.port = int(urls[0].rpartition(":")[2])
        return True

    def kill(self) -> None:
        """End the server at once, as a crash does. A paused one too."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop the server as an operator does, and wait until it has ended."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        if self._process is not None:
            os.kill(self._process.pid, number)
            self._process.wait()
            self._process = None

    def lose_store(self) -> None:
        """Delete what a server that does not run has stored in files."""
        assert self._process is None
        shutil.rmtree(self.folder / "store", ignore_errors=True)

    def pause(self) -> None:
        """Stop the process with SIGSTOP: its connections stay, nothing is answered from now on."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def resume(self) -> None:
        """Let a paused server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def log(self) -> str:
        """Return what the server has logged so far."""
        return (self.folder / "log").read_text()
