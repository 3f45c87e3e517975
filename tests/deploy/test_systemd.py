"""The systemd unit: systemd accepts it, and its command starts the server."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.live.conftest import StartServer
from tests.live.waiting import PATIENCE

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
UNIT = (PROJECT / "deploy/systemd/chatroom.service").read_text()
ENVIRONMENT_FILE = (PROJECT / "deploy/systemd/chatroom.env").read_text()

MAXIMAL_EXPOSURE = 1.2
"""What `systemd-analyze security` may say at most, from 0 (best) to 10."""


def value(name: str) -> str:
    """Return the value of an option that the unit has once."""
    (found,) = re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    return str(found)


def installed(text: str) -> str:
    """Return text of the unit for this checkout instead of one in /opt."""
    return text.replace("/opt/chatroom/.venv/bin", str(BIN)).replace("/opt/chatroom", str(PROJECT))


def environment(runtime: Path) -> dict[str, str]:
    """Return the variables that the unit sets."""
    lines = re.findall(r"^Environment=(.*)$", UNIT, re.MULTILINE)
    words = shlex.split(" ".join(lines).replace("%t", str(runtime)))
    return dict(word.split("=", 1) for word in words)


def settings() -> dict[str, str]:
    """Return the variables of the environment file."""
    return dict(re.findall(r"^(\w+)=(.*)$", ENVIRONMENT_FILE, re.MULTILINE))


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return a copy of the unit for this checkout; skip where systemd is missing."""
    if shutil.which("systemd-analyze") is None:
        if os.environ.get("CHATROOM_TEST_SYSTEMD") == "required":
            pytest.fail("systemd is not installed, and CHATROOM_TEST_SYSTEMD is required")
        pytest.skip("systemd is not installed")
    path = tmp_path / "chatroom.service"
    path.write_text(installed(UNIT))
    return path


def analyze(*arguments: str | Path) -> str:
    """Run systemd-analyze, which must succeed; return what it prints."""
    command = ["systemd-analyze", *arguments]
    done = subprocess.run(command, text=True, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_accepts_the_unit(unit: Path) -> None:
    """The unit has no unknown option, no invalid value and names no missing program."""
    assert unit.name not in analyze("verify", "--man=no", unit)


def test_service_is_sandboxed(unit: Path) -> None:
    """The exposure that systemd itself calculates stays low."""
    threshold = f"--threshold={round(MAXIMAL_EXPOSURE * 10)}"
    assert "Overall exposure" in analyze("security", "--offline=true", threshold, unit)


def test_commands_of_the_unit_start_the_server(tmp_path: Path, start_server: StartServer) -> None:
    """The static files are collected, and the server starts with the sample settings."""
    variables = {**environment(tmp_path), **settings(), "PORT": "0"}
    prepare = shlex.split(installed(value("ExecStartPre")))
    (tmp_path / "chatroom").mkdir()  # as RuntimeDirectory does
    subprocess.run(
        prepare, cwd=PROJECT, env={**os.environ, **variables}, check=True, timeout=PATIENCE
    )
    command = installed(value("ExecStart"))
    for name, text in variables.items():
        command = command.replace(f"${{{name}}}", text)
    server = start_server(*shlex.split(command), fork=False, **variables)
    assert server.request("GET", "/health")[1]["status"] == "ok"
    host = settings()["DJANGO_ALLOWED_HOSTS"]
    assert 'href="/static/pubsub/console/' in page(server.port, host)
    assert server.stop() == 0


def page(port: int, host: str) -> str:
    """Return the page under the name of the site."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", "/", headers={"Host": host})
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_stop_has_enough_time() -> None:
    """The service manager waits longer than the server needs to send its clients away."""
    assert int(value("TimeoutStopSec")) > int(settings()["CHATROOM_DRAIN_SECONDS"]) + 5
    assert value("KillMode") == "mixed"


def test_environment_file_has_no_secret() -> None:
    """The sample of the settings is not a place for secrets."""
    assert not [name for name in settings() if re.search("SECRET|KEY|PASSWORD", name)]
