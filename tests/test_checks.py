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

from pubsub.hosts import local_hosts

PROJECT = Path(__file__).parents[1]

APPS = ["daphne", "django.contrib.staticfiles", "ninja", "pubsub.console", "pubsub"]
BACKEND = "django.template.backends.django.DjangoTemplates"
LOADER = "django.template.loaders.app_directories.Loader"
AUTHORIZER = "tests.live.host.club_authorizers.Plain"
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


def check(*, deploy: bool = False, **changes: Any) -> dict[str, str]:
    """Run our checks in a complete project with some changes; return the problems by their id."""
    with override_settings(**{**COMPLETE, **changes}):
        messages = run_checks(include_deployment_checks=deploy)
        found = {str(message.id): str(message) for message in messages}
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
        ({"CHATROOM": {"AUTHORIZER": AUTHORIZER}}, {"pubsub.W013"}, "Set AUTH to 'required' or"),
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


DEPLOYED = {
    "AUTH": "required",
    "JWT_SECRET": "a secret of the tests with 32 bytes or more",
    "API_KEYS": "operator-0123456789, reader-9876543210:read",
    "MAX_CONNECTIONS": 1000,
    "RATE_LIMIT": 10,
    "REST_RATE_LIMIT": 10,
}


@pytest.mark.parametrize(
    ("chatroom", "django", "ids"),
    [
        ({}, {}, set()),
        ({"AUTH": "none"}, {}, {"pubsub.W005"}),
        ({"API_KEYS": ""}, {}, {"pubsub.W006"}),
        ({"AUTH": "none", "API_KEYS": ""}, {}, {"pubsub.W005", "pubsub.W006"}),
        ({"ALLOWED_ORIGINS": "https://app.example,*"}, {}, {"pubsub.W007"}),
        ({"ALLOWED_ORIGINS": "https://*.example.org"}, {}, set()),
        ({}, {"ALLOWED_HOSTS": ["*"]}, {"pubsub.W008"}),
        ({}, {"ALLOWED_HOSTS": local_hosts()}, {"pubsub.W008"}),
        ({"API_KEYS": "operator-0123456789, short:read"}, {}, {"pubsub.W009"}),
        ({"MAX_CONNECTIONS": 0}, {}, {"pubsub.W010"}),
        ({"RATE_LIMIT": 0}, {}, {"pubsub.W011"}),
        ({"REST_RATE_LIMIT": 0}, {}, {"pubsub.W011"}),
        ({"API_KEYS": DEPLOYED["JWT_SECRET"]}, {}, {"pubsub.W012"}),
        ({}, {"SECRET_KEY": DEPLOYED["JWT_SECRET"]}, {"pubsub.W012"}),
        ({"QUEUE_SIZE": 0}, {}, {"pubsub.E001"}),
    ],
)
def test_deployment(chatroom: dict[str, Any], django: dict[str, Any], ids: set[str]) -> None:
    """`check --deploy` reports what a server lacks that strangers can reach; `check` does not."""
    changes = {"ALLOWED_HOSTS": ["chat.example"], "CHATROOM": {**DEPLOYED, **chatroom}, **django}
    found = check(deploy=True, **changes)
    assert set(found) == ids
    assert set(check(**changes)) == ids & {"pubsub.E001"}
    for secret in (DEPLOYED["JWT_SECRET"], "operator-", "short"):
        assert secret not in "".join(found.values())


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
    code, deployment, page = (
        set(re.findall(r"pubsub\.[EW]\d{3}", (PROJECT / path).read_text()))
        for path in ("pubsub/checks.py", "pubsub/deployment_checks.py", "docs/operations.md")
    )
    assert code | deployment == page
