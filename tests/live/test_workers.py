"""Several processes on one port: how connections spread, and what ends and replaces a process."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.live.server import PROJECT, stop_ignoring_signals
from tests.live.waiting import PATIENCE, wait_until
from tests.live.workers import STARTER, Workers, connect_raw, connections, environment

CONNECTIONS = 400


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    """Four processes, shared by the tests that leave four of them."""
    with closing(Workers(tmp_path_factory.mktemp("workers"))) as workers:
        yield workers


def one_by_one(connect: Callable[[], None]) -> None:
    """Make the connections one after the other."""
    for _ in range(CONNECTIONS):
        connect()


def all_at_once(connect: Callable[[], None]) -> None:
    """Make the connections in many threads."""
    with ThreadPoolExecutor(50) as pool:
        list(pool.map(lambda _: connect(), range(CONNECTIONS)))


@pytest.mark.parametrize("make", [one_by_one, all_at_once])
def test_connections_spread(four: Workers, make: Callable[[Callable[[], None]], None]) -> None:
    """Each of four processes gets 15 to 40 percent of the connections."""
    processes = four.serving()

    def accepted() -> list[int]:
        return [connections(pid, four.port) for pid in processes]

    with ExitStack() as stack:
        make(lambda: connect_raw(stack, four.port))
        wait_until(lambda: sum(accepted()) == CONNECTIONS, accepted)
        shares = [number / CONNECTIONS for number in accepted()]
    wait_until(lambda: sum(accepted()) == 0, accepted)
    assert len(shares) == 4
    assert 0.15 <= min(shares) <= max(shares) <= 0.40, shares


def test_processes_are_one_room(four: Workers) -> None:
    """What one process accepts reaches the subscribers of all."""
    wait_until(lambda: four.request("POST", "/topics", {"name": "t"})[0] in (201, 409))
    clients = [four.connect() for _ in range(16)]
    for client in clients:
        wait_until(lambda client=client: client.ask(type="subscribe", topic="t")["type"] == "ack")

    def is_known_to_all() -> bool:
        answer = four.request("POST", "/topics/t/messages", {"payload": 1})[1]
        return bool(answer.get("subscribers") == len(clients))

    wait_until(is_known_to_all)
    assert {client.receive()["type"] for client in clients} == {"event"}
    assert four.request("GET", "/health")[1]["status"] == "ok"
    four.reset_clients()


@pytest.mark.parametrize("with_signal", [signal.SIGKILL, signal.SIGTERM])
def test_process_that_ends_is_replaced(four: Workers, with_signal: int) -> None:
    """Another one takes its place within 10 seconds, whether it was killed or stopped."""
    before, starts = four.serving(), four.log().count("Listening on TCP")
    os.kill(before[0], with_signal)
    four.wait_until_all_listen(starts + 1)
    after = four.serving()
    assert len(after) == 4
    assert set(before) - set(after) == {before[0]}
    assert four.request("GET", "/livez") == (200, {"status": "ok"})


def test_nats_is_replaced(four: Workers) -> None:
    """A NATS server that was killed comes back on the same port."""
    (before,) = four.nats()
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: four.nats() not in ([before], []))
    (after,) = four.nats()
    port = int(environment(after)["CHATROOM_NATS_PORT"])

    def accepts() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    wait_until(accepts)


def test_nats_is_private(four: Workers) -> None:
    """Whoever has the password gets in and has streams, and no one else gets in."""
    variables = environment(four.serving()[0])
    port = int(variables["CHATROOM_NATS_PORT"])
    accepted = {"user": "chatroom", "pass": variables["CHATROOM_NATS_PASSWORD"]}
    assert b'"jetstream":true' in ask_nats(port, accepted)
    assert ask_nats(port, accepted).endswith(b"PONG\r\n")
    for refused in ({}, accepted | {"pass": "another"}):
        assert ask_nats(port, refused).endswith(b"-ERR 'Authorization Violation'\r\n")


def ask_nats(port: int, credentials: dict[str, str]) -> bytes:
    """Return what a NATS server says first, and what it answers to a ping."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        lines = sock.makefile("rb")
        info = lines.readline()
        options = json.dumps({"verbose": False, "pedantic": False, **credentials})
        sock.sendall(f"CONNECT {options}\r\nPING\r\n".encode())
        return info + lines.readline()


def test_secrets_are_not_shown(four: Workers) -> None:
    """Neither the command lines nor the log contain the password of NATS, or Django's key."""
    shown = four.log()
    for pid in (four.pid, *four.serving(), *four.nats()):
        shown += Path(f"/proc/{pid}/cmdline").read_text()
    variables = environment(four.serving()[0])
    assert variables["CHATROOM_NATS_PASSWORD"] in variables["CHATROOM_RELAY"]
    assert variables["CHATROOM_NATS_PASSWORD"] not in shown
    assert variables["DJANGO_SECRET_KEY"] not in shown


def test_processes_share_what_one_would_generate(four: Workers) -> None:
    """All have the same secret key."""
    keys = {environment(pid)["DJANGO_SECRET_KEY"] for pid in four.serving()}
    assert len(keys) == 1
    assert len(keys.pop()) >= 50


def test_port_in_use(four: Workers) -> None:
    """A second start on the port ends with one line, although the processes share the port."""
    assert start_in_vain(WORKERS="2", PORT=str(four.port)) == (
        f"chatroom: cannot listen on 127.0.0.1:{four.port}: Address already in use\n"
    )


@pytest.mark.parametrize("number", ["", "0", "-1", "four", "257"])
def test_invalid_number(number: str) -> None:
    """The number of processes has to be one."""
    assert start_in_vain(WORKERS=number, PORT="0") == (
        f"chatroom: WORKERS must be an integer from 1 to 256, not {number!r}\n"
    )


def test_invalid_port() -> None:
    """A port that is no port is refused with one line."""
    errors = start_in_vain(WORKERS="2", PORT="http")
    assert errors == "chatroom: PORT must be an integer from 0 to 65535, not 'http'\n"


def test_invalid_setting_is_reported_once() -> None:
    """No process is started if none could start."""
    errors = start_in_vain(WORKERS="4", PORT="0", CHATROOM_QUEUE_SIZE="0")
    assert errors.startswith("chatroom: CHATROOM_QUEUE_SIZE must be ")
    assert errors.count("\n") == 1


def start_in_vain(**variables: str) -> str:
    """Start processes that cannot start; return the errors, which are all that is printed."""
    done = subprocess.run(
        [sys.executable, STARTER],
        cwd=PROJECT,
        env={**os.environ, "HOST": "127.0.0.1", **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


@pytest.mark.parametrize("with_signal", [signal.SIGINT, signal.SIGHUP])
def test_stop(tmp_path: Path, with_signal: int) -> None:
    """Ctrl-C and the end of the terminal end everything."""
    with closing(Workers(tmp_path, WORKERS="2")) as workers:
        stop(workers, with_signal)


def stop(workers: Workers, with_signal: int) -> None:
    """Check that every client of every process gets 3001, and no process and no file is left."""
    clients = [workers.connect() for _ in range(40)]
    for client in clients:
        client.ask(type="ping")
    processes = [*workers.serving(), *workers.nats()]
    assert len(processes) == 3
    # Ctrl-C in a terminal reaches the supervisor's process group only.
    assert os.getpgid(workers.pid) not in map(os.getpgid, processes)
    assert workers.stop(with_signal) == 0
    assert {client.receive_close() for client in clients} == {(3001, "shutdown")}
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert workers.leftovers() == []
    assert workers.complaints() == []


def test_stop_before_the_processes_start(tmp_path: Path) -> None:
    """While the settings are being checked, a signal ends everything with status 0 as well."""
    process = subprocess.Popen(
        [sys.executable, STARTER],
        cwd=PROJECT,
        env={**os.environ, "WORKERS": "2", "PORT": "0", "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    wait_until(lambda: any(tmp_path.iterdir()))
    process.terminate()
    output, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (0, b"")
    assert not any(tmp_path.iterdir())


def test_terminal_is_closed(tmp_path: Path) -> None:
    """The processes end, although supervisord can no longer write its log."""
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        stop_ignoring_signals()
        os.login_tty(theirs)

    process = subprocess.Popen(
        [sys.executable, STARTER],
        cwd=PROJECT,
        env={**os.environ, "WORKERS": "1", "PORT": "0", "TMPDIR": str(tmp_path)},
        preexec_fn=take_terminal,
    )
    os.close(theirs)
    output = b""
    while b"Listening on TCP" not in output:
        output += os.read(ours, 65536)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    assert not [pid for pid in children if Path("/proc", pid).exists()]


def test_hangup_that_is_ignored(tmp_path: Path) -> None:
    """What was started with ``nohup`` outlives the terminal, and still ends on SIGTERM."""
    with closing(Workers(tmp_path, "-c", IGNORE_HANGUP, WORKERS="2")) as workers:
        workers.send_signal(signal.SIGHUP)
        stop(workers, signal.SIGTERM)


IGNORE_HANGUP = f"""
import runpy, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
runpy.run_path({STARTER!r}, run_name="__main__")
"""


def test_relay_of_ones_own(tmp_path: Path) -> None:
    """With `CHATROOM_RELAY`, no NATS server is started."""
    relay = "nats://user:password@127.0.0.1:1"
    with closing(Workers(tmp_path, WORKERS="1", CHATROOM_RELAY=relay)) as workers:
        assert workers.nats() == []
        (process,) = workers.serving()
        assert environment(process)["CHATROOM_RELAY"] == relay


def test_output_may_be_a_socket(tmp_path: Path) -> None:
    """Under systemd, the output is a socket, which cannot be opened by its name."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, STARTER],
            cwd=PROJECT,
            env={**os.environ, "WORKERS": "1", "PORT": "0", "TMPDIR": str(tmp_path)},
            stdout=theirs,
            stderr=theirs,
        )
        theirs.close()
        ours.settimeout(PATIENCE)
        output = b""
        while b"Listening on TCP" not in output:
            received = ours.recv(65536)
            assert received, output
            output += received
        process.terminate()
        assert process.wait(PATIENCE) == 0
