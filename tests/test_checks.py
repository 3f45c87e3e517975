"""`manage.py check` reports what a project that hosts the chat room has omitted."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import get_commands
from django.test import override_settings

PROJECT = Path(__file__).parents[1]

APPS = ["daphne", "django.contrib.staticfiles", "ninja", "pubsub.console", "pubsub"]
BACKEND = "django.template.backends.django.DjangoTemplates"
LOADER = "django.template.loaders.app_directories.Loader"
COMPLETE = {
    "ASGI_APPLICATION": "tests.live.host.asgi.application",
    "INSTALLED_APPS": APPS,
    "TEMPLATES": [{"BACKEND": BACKEND, "APP_DIRS": True}],
    "STATIC_URL": "/static/",
}


@pytest.fixture(autouse=True)
def _commands() -> Iterator[None]:
    """Clear Django's cache of commands, which outlives a change of settings."""
    get_commands.cache_clear()
    yield
    get_commands.cache_clear()


def check(**changes: Any) -> dict[str, str]:
    """Run our checks in a complete project with some changes; return the problems by their id."""
    with override_settings(**{**COMPLETE, **changes}):
        found = {str(message.id): str(message) for message in run_checks()}
    return {name: text for name, text in found.items() if name.startswith("pubsub.")}


def test_complete_project() -> None:
    """A project that follows the README has no problem; it need not install the app `channels`."""
    assert check() == {}


@pytest.mark.parametrize(
    ("changes", "ids", "advice"),
    [
        ({"CHATROOM": "x"}, {"pubsub.E001"}, "CHATROOM must be a dictionary, not 'x'"),
        ({"CHATROOM": {"QUEUE_SIZE": 0}}, {"pubsub.E001"}, "CHATROOM_QUEUE_SIZE must be"),
        ({"CHATROOM": {"QUEUESIZE": 1}}, {"pubsub.E001"}, "has no setting 'QUEUESIZE'"),
        ({"INSTALLED_APPS": APPS[1:]}, {"pubsub.W001"}, "Put 'daphne' first"),
        ({"INSTALLED_APPS": [*APPS[1:], "daphne"]}, {"pubsub.W001"}, "Put 'daphne' first"),
        ({"ASGI_APPLICATION": None}, {"pubsub.W002"}, "ASGI_APPLICATION is not set"),
        ({"ASGI_APPLICATION": "nowhere.asgi.app"}, {"pubsub.E002"}, "no such module"),
        ({"ASGI_APPLICATION": "application"}, {"pubsub.E002"}, "no such module"),
        ({"TEMPLATES": []}, {"pubsub.E003", "pubsub.W003"}, "'APP_DIRS': True"),
        ({"TEMPLATES": [{"BACKEND": BACKEND}]}, {"pubsub.E003", "pubsub.W003"}, "'APP_DIRS': True"),
        ({"TEMPLATES": [{"BACKEND": BACKEND, "OPTIONS": {"loaders": [LOADER]}}]}, set(), ""),
        (
            {"INSTALLED_APPS": [app for app in APPS if app != "django.contrib.staticfiles"]},
            {"pubsub.E004", "pubsub.W003"},
            "Add 'django.contrib.staticfiles'",
        ),
        (
            {"INSTALLED_APPS": [app for app in APPS if app != "ninja"]},
            {"pubsub.W003"},
            "Add 'ninja'",
        ),
        (
            {"INSTALLED_APPS": ["daphne", "pubsub"], "TEMPLATES": []},
            {"pubsub.W003"},
            "The page /docs does not work",
        ),
    ],
)
def test_incomplete_project(changes: dict[str, Any], ids: set[str], advice: str) -> None:
    """Each omission is reported under its own id, with advice."""
    found = check(**changes)
    assert set(found) == ids
    assert advice in "".join(found.values())


def test_another_package_of_the_same_import_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check warns if PyPubSub, whose import name is `pubsub` too, is installed as well."""
    information = tmp_path / "PyPubSub-4.0.3.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: PyPubSub\nVersion: 4.0.3\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = check()
    assert set(found) == {"pubsub.W004"}
    assert "PyPubSub 4.0.3 is installed as well" in found["pubsub.W004"]


def test_command_fails_without_a_traceback(tmp_path: Path) -> None:
    """`manage.py check` reports a setting of the wrong type as an error without a traceback."""
    settings = "from tests.live.host.settings import *\nCHATROOM = 'x'\n"
    (tmp_path / "wrong_settings.py").write_text(settings)
    result = subprocess.run(
        [sys.executable, "-m", "django", "check", "--settings", "wrong_settings"],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(PROJECT)])},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert "(pubsub.E001) CHATROOM must be a dictionary" in result.stderr
    assert "Traceback" not in result.stderr


def test_ids_are_documented() -> None:
    """Every id has its line in docs/operations.md."""
    code, page = (
        set(re.findall(r"pubsub\.[EW]\d{3}", (PROJECT / path).read_text()))
        for path in ("pubsub/checks.py", "docs/operations.md")
    )
    assert code == page
