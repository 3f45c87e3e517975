"""Serve one room from several processes on one port, with a NATS server of their own.

    WORKERS=4 HOST=0.0.0.0 PORT=9090 python deploy/workers/start.py

``make run`` and the image call this if ``WORKERS`` is above 1; both install supervisor and
nats-server. supervisord runs the processes (`supervisord.conf`); this module only checks what it
can check before they start, and makes what they share: a folder for NATS, which is removed at the
end, its port and password, and Django's secret key. None of the secrets is on a command line.

With ``CHATROOM_RELAY``, the processes use that NATS, and none is started. SIGTERM, SIGINT (Ctrl-C)
and SIGHUP send all clients away with 3001, then stop NATS. The exit status is 0 after that, and
otherwise that of what failed.
"""

import contextlib
import io
import math
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from supervisor.medusa import asyncore_25
from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor

HERE = Path(__file__).resolve().parent
MAX_WORKERS = 256
MAX_PORT = 65535
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECONDS_TO_STOP = 8
"""How long a process may take to stop, above CHATROOM_DRAIN_SECONDS. Daphne takes 5 at most."""


def workers() -> int:
    """Return how many processes are wanted."""
    text = os.environ.get("WORKERS", "1")
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        sys.exit(f"chatroom: WORKERS must be an integer from 1 to {MAX_WORKERS}, not {text!r}")
    return int(text)


def reserve(host: str, port: str) -> socket.socket:
    """Return a socket that holds the port without listening, so that only workers can share it."""
    if not port.isdecimal() or int(port) > MAX_PORT:
        sys.exit(f"chatroom: PORT must be an integer from 0 to {MAX_PORT}, not {port!r}")
    reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind((host, int(port)))
    except OSError as error:
        sys.exit(f"chatroom: cannot listen on {host}:{port}: {error.strerror}")
    # Not earlier: with this option it would be bound in spite of other workers on the port.
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return reserved


def share_nats(folder: str) -> None:
    """Have a NATS server started, and the processes connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    # It begins with a letter, because NATS would take some hexadecimal digits for a number.
    password = f"p{secrets.token_hex(24)}"
    os.environ["CHATROOM_NATS_START"] = "true"
    os.environ["CHATROOM_NATS_PORT"] = str(port)
    os.environ["CHATROOM_NATS_PASSWORD"] = password
    os.environ["CHATROOM_NATS_FOLDER"] = str(Path(folder, "nats"))
    os.environ["CHATROOM_RELAY"] = f"nats://chatroom:{password}@127.0.0.1:{port}"


def check_settings() -> None:
    """End with the line that the application prints if a setting is invalid.

    Otherwise each process would print it, again and again.
    """
    command = [sys.executable, "-c", "import chatroom_project.asgi"]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        sys.exit(done.returncode)


def make_output_openable() -> None:
    """Pass the output through ``cat`` where it is a socket, as under systemd.

    supervisord opens it by its name, which is not possible for sockets.
    """
    for number in (1, 2):
        try:
            os.close(os.open(f"/dev/fd/{number}", os.O_WRONLY | os.O_APPEND))
        except OSError:
            cat = subprocess.Popen(
                ["cat"], stdin=subprocess.PIPE, stdout=number, start_new_session=True
            )
            assert cat.stdin is not None
            os.dup2(cat.stdin.fileno(), number)
            cat.stdin.close()


class Options(ServerOptions):
    """supervisord's options and signal handlers; a start with ``nohup`` outlives the terminal."""

    def setsignals(self) -> None:
        """Handle all signals that supervisord handles, but SIGHUP if it is ignored."""
        hangup = signal.getsignal(signal.SIGHUP)
        super().setsignals()
        if hangup is signal.SIG_IGN:
            signal.signal(signal.SIGHUP, hangup)


class Errors(io.TextIOBase):
    """Standard error. Once the terminal is closed, nothing is written, and nothing is raised.

    supervisord reports here that it cannot write to its log; it would end before its processes.
    """

    def write(self, text: str) -> int:
        """Write as much as possible."""
        with contextlib.suppress(OSError):
            os.write(2, text.encode())
        return len(text)


def supervise() -> None:
    """Run supervisord in this process, until a signal has stopped all others."""
    arguments = ["--configuration", str(HERE / "supervisord.conf")]
    if os.getuid() == 0:  # otherwise it would warn; `USER` of the image is not root
        arguments += ["--user", "0"]
    options = Options()
    options.realize(arguments)
    options.first, options.test = True, False
    # supervisord's own `main` would start everything again on SIGHUP, when the terminal is closed.
    with contextlib.suppress(asyncore_25.ExitNow), contextlib.redirect_stderr(Errors()):
        Supervisor(options).main()


def set_variables(number: int, host: str, port: int, folder: str) -> None:
    """Set what `supervisord.conf` refers to, and what all processes have to share."""
    os.environ |= {
        "CHATROOM_FOLDER": folder,
        "CHATROOM_NATS_FOLDER": folder,
        "CHATROOM_NATS_PORT": "0",
        "CHATROOM_NATS_START": "false",
        "HOST": host,
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
        "WORKERS": str(number),
    }
    if not os.environ.get("DJANGO_SECRET_KEY"):
        os.environ["DJANGO_SECRET_KEY"] = secrets.token_urlsafe(48)
    if not os.environ.get("CHATROOM_RELAY"):
        share_nats(folder)


def main() -> None:
    """Check, prepare and run."""
    # Until supervisord handles them. They wait until there is something to clean up.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for signal_number in SIGNALS:
        if signal.getsignal(signal_number) is not signal.SIG_IGN:
            signal.signal(signal_number, lambda *_: sys.exit())
    number = workers()
    host, port = os.environ.get("HOST", "0.0.0.0"), os.environ.get("PORT", "9090")
    with reserve(host, port) as reserved, tempfile.TemporaryDirectory(prefix="chatroom-") as folder:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        set_variables(number, host, reserved.getsockname()[1], folder)
        check_settings()
        drain = float(os.environ.get("CHATROOM_DRAIN_SECONDS") or 0)
        os.environ["CHATROOM_STOP_SECONDS"] = str(math.ceil(drain) + SECONDS_TO_STOP)
        make_output_openable()
        print(f"chatroom: {number} processes on {host}:{os.environ['PORT']}", flush=True)
        supervise()


if __name__ == "__main__":
    main()
