"""Django system checks for the settings of a project that hosts the chat room.

`docs/operations.md` lists their ids.
"""

import importlib.util
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands

from pubsub import conf
from pubsub.deployment_checks import check_deployment

DJANGO_TEMPLATES = "django.template.backends.django.DjangoTemplates"
APP_DIRECTORIES = "django.template.loaders.app_directories.Loader"


def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report a ``CHATROOM`` with which the server would not start, or would ask no authorizer."""
    try:
        conf.get_configuration()
        access = conf.get_access()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="pubsub.E001")]
    if access.authorizer is None or access.is_on:
        return []
    return [
        checks.Warning(
            "CHATROOM has an AUTHORIZER, but AUTH is none: everyone may do everything.",
            hint="Set AUTH to 'required' or 'optional'.",
            id="pubsub.W013",
        )
    ]


def check_server(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report what keeps ``runserver`` from serving WebSockets."""
    found: list[CheckMessage] = []
    if get_commands().get("runserver") != "daphne":
        found.append(
            checks.Warning(
                "`daphne` is not the first app with a `runserver` command in INSTALLED_APPS, so "
                "`runserver` serves this project over WSGI, without WebSockets.",
                hint="Put 'daphne' first in INSTALLED_APPS.",
                id="pubsub.W001",
            )
        )
    application = getattr(settings, "ASGI_APPLICATION", None)
    hint = "Set it to 'your_project.asgi.application'."
    if not application:
        message = "ASGI_APPLICATION is not set, so Daphne's `runserver` does not start."
        found.append(checks.Warning(message, hint=hint, id="pubsub.W002"))
    elif not _is_module(str(application).rpartition(".")[0]):
        message = f"ASGI_APPLICATION is {application!r}, but there is no such module."
        found.append(checks.Error(message, hint=hint, id="pubsub.E002"))
    return found


def check_pages(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report what is missing for the pages at ``/`` and ``/docs``."""
    templates = any(map(_finds_app_templates, settings.TEMPLATES))
    static_files = apps.is_installed("django.contrib.staticfiles") and bool(settings.STATIC_URL)
    found: list[CheckMessage] = []
    if apps.is_installed("pubsub.console") and not templates:
        found.append(
            checks.Error(
                "The templates of `pubsub.console` cannot be found.",
                hint=f"Add {{'BACKEND': '{DJANGO_TEMPLATES}', 'APP_DIRS': True}} to TEMPLATES.",
                id="pubsub.E003",
            )
        )
    if apps.is_installed("pubsub.console") and not static_files:
        found.append(
            checks.Error(
                "The static files of `pubsub.console` cannot be found.",
                hint="Add 'django.contrib.staticfiles' to INSTALLED_APPS, after 'daphne', and set "
                "STATIC_URL to '/static/'.",
                id="pubsub.E004",
            )
        )
    if not (apps.is_installed("ninja") and templates and static_files):
        found.append(
            checks.Warning(
                "The page /docs does not work, or loads its files from another host.",
                hint="Add 'ninja' and 'django.contrib.staticfiles' to INSTALLED_APPS, set "
                "STATIC_URL, and give TEMPLATES a backend with 'APP_DIRS': True.",
                id="pubsub.W003",
            )
        )
    return found


def check_import_name(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report an installed PyPubSub, whose import name is also ``pubsub``."""
    try:
        version = metadata.version("pypubsub")
    except metadata.PackageNotFoundError:
        return []
    return [
        checks.Warning(
            f"PyPubSub {version} is installed as well, and its import name is also `pubsub`: only "
            "one of the two can be imported.",
            hint="Install them in separate environments.",
            id="pubsub.W004",
        )
    ]


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _finds_app_templates(engine: dict[str, Any]) -> bool:
    loaders = engine.get("OPTIONS", {}).get("loaders", [])
    return engine.get("BACKEND") == DJANGO_TEMPLATES and (
        bool(engine.get("APP_DIRS")) or APP_DIRECTORIES in str(loaders)
    )


def register_checks() -> None:
    """Register the checks of this app."""
    for check in (check_settings, check_server, check_pages, check_import_name):
        checks.register(check)
    checks.register(check_deployment, deploy=True)
