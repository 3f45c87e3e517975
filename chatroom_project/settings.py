"""The settings of the project. Nothing else in it reads the environment."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from pubsub import conf


def _flag(name: str) -> bool:
    value = os.environ.get(name, "false")
    if value.lower() not in ("true", "false", "1", "0"):
        sys.exit(f"chatroom: {name} must be true or false, not {value!r}")
    return value.lower() in ("true", "1")


SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or get_random_secret_key()
DEBUG = _flag("DJANGO_DEBUG")
ALLOWED_HOSTS = [
    host.strip() for host in os.environ.get("DJANGO_ALLOWED_HOSTS", "*").split(",") if host.strip()
]
if not ALLOWED_HOSTS:
    sys.exit("chatroom: DJANGO_ALLOWED_HOSTS must be host names, separated by commas, or *")

# Only names that exist are read: an orchestrator may put others beside them
# (Kubernetes does, for a service that is called "chatroom").
CHATROOM = {
    name: os.environ[f"CHATROOM_{name}"]
    for name in conf.SETTING_NAMES
    if f"CHATROOM_{name}" in os.environ
}
try:
    _config = conf.configuration_from(CHATROOM)
except ImproperlyConfigured as error:
    sys.exit(f"chatroom: {error}")

ROOT_URLCONF = "chatroom_project.urls"
ASGI_APPLICATION = "chatroom_project.asgi.application"
TEST_RUNNER = "pytest_django.runner.TestRunner"

# Daphne comes first: it replaces staticfiles' runserver.
INSTALLED_APPS = [
    "daphne",
    "servestatic",
    "django.contrib.staticfiles",
    "ninja",
    "pubsub.console",
    "pubsub",
]

# Every one of these runs in the event loop. A single middleware that cannot (Django's own are of
# that kind) would send each request through two threads.
MIDDLEWARE = [
    "pubsub.middleware.json_errors",
    "servestatic.middleware.ServeStaticMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

# Without a directory the files are served from where they are in the source, and change with it.
# With one they are served from there, under names that hold a hash of their content, and browsers
# may keep them for ever; `manage.py collectstatic` puts them there.
STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("DJANGO_STATIC_ROOT") or None
SERVESTATIC_USE_FINDERS = STATIC_ROOT is None
SERVESTATIC_USE_MANIFEST = STATIC_ROOT is not None
SERVESTATIC_AUTOREFRESH = DEBUG
SERVESTATIC_MAX_AGE = 0 if STATIC_ROOT is None else 60
if STATIC_ROOT is not None:
    STORAGES = {"staticfiles": {"BACKEND": "chatroom_project.static.HashedFiles"}}

# The views allow a body of one client message, and answer 413 for more.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * _config.max_message_bytes
FILE_UPLOAD_MAX_MEMORY_SIZE = DATA_UPLOAD_MAX_MEMORY_SIZE  # no body ever needs the disk

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

SILENCED_SYSTEM_CHECKS = [
    "security.W001",  # SecurityMiddleware: its headers are set by pubsub.middleware
    "security.W002",  # XFrameOptionsMiddleware: likewise
    "security.W003",  # CsrfViewMiddleware: no cookie of this project carries any authority
]

# A client's mistake is answered, not logged. Only the server's own faults are.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security": {"level": "CRITICAL"},
    },
}
