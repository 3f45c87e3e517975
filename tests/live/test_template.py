"""A fork of the template is like a process that has been started from nothing."""

import json
import signal
import tempfile
from pathlib import Path

import pytest

from tests.live.template import run, template

SETTINGS = "from django.conf import settings; print(settings.configured, settings.DEBUG)"


@pytest.mark.parametrize(
    ("code", "status", "output"),
    [
        ("", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('wrong')", 1, "wrong\n"),
        ("import atexit; atexit.register(print, 'last')", 0, "last\n"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
    ],
)
def test_end(code: str, status: int, output: str) -> None:
    """It ends with its own status, and Python cleans up."""
    assert run("-c", code) == (status, output)


def test_failure() -> None:
    """An exception is printed and makes the status 1."""
    status, output = run("-c", "1 / 0")
    assert status == 1
    assert output.endswith("ZeroDivisionError: division by zero\n")


def test_environment() -> None:
    """It sees the variables that it was given, and no others."""
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    with tempfile.TemporaryFile("w+") as log:
        process = template().start(["-c", code], {"CHATROOM_QUEUE_SIZE": "7"}, log.fileno())
        assert process.wait() == 0
        log.seek(0)
        assert json.load(log) == {"CHATROOM_QUEUE_SIZE": "7"}


def test_settings() -> None:
    """Each reads its own settings, which nothing has read before."""
    module = "chatroom_project.settings"
    code = f"import sys; print('{module}' in sys.modules); {SETTINGS}"
    for debug in (True, False):
        status, output = run("-c", code, DJANGO_SETTINGS_MODULE=module, DJANGO_DEBUG=str(debug))
        assert (status, output) == (0, f"False\nFalse {debug}\n")


def test_arguments(tmp_path: Path) -> None:
    """Modules, code and files get their arguments as the interpreter would pass them."""
    file = tmp_path / "print_arguments.py"
    file.write_text("import sys; print(__name__, sys.argv)")
    assert run(str(file), "a") == (0, f"__main__ ['{file}', 'a']\n")
    assert run("-c", file.read_text(), "a") == (0, "__main__ ['-c', 'a']\n")
    file.write_text("[]")
    assert run("-m", "json.tool", str(file)) == (0, "[]\n")


def test_signals() -> None:
    """Ctrl-C interrupts it, although the template ignores that."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('survived')"
    status, output = run("-c", code)
    assert status == -signal.SIGINT
    assert output.endswith("KeyboardInterrupt\n")
