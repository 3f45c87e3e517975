"""The settings of the project, and the only module that reads the environment."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

from pubsub import conf, logs
from pubsub.hosts import local_hosts
from pubsub.protocol.batch import MAX_BATCH_BYTES


def _flag(name: str) -> bool:
    value = os.environ.get(name, "false")
    if value.lower() not in ("true", "false", "1", "0"):
        sys.exit(f"chatroom: {name} must be true or false, not {value!r}")
    return value.lower() in ("true", "1")


SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or get_random_secret_key()
DEBUG = _flag("DJANGO_DEBUG")
_hosts = os.environ.get("DJANGO_ALLOWED_HOSTS")
ALLOWED_HOSTS = (
    local_hosts()
    if _hosts is None
    else [host.strip() for host in _hosts.split(",") if host.strip()]
)
if not ALLOWED_HOSTS:
    sys.exit("chatroom: DJANGO_ALLOWED_HOSTS must be host names, separated by commas, or *")

# Only known names are read, because an orchestrator may set others with the same prefix
# (as Kubernetes does for a service called "chatroom").
CHATROOM = {
    name: os.environ[f"CHATROOM_{name}"]
    for name in conf.SETTING_NAMES
    if f"CHATROOM_{name}" in os.environ
}
try:
    _config = conf.configuration_from(CHATROOM)
    conf.access_from(CHATROOM, load_authorizer=False)
    conf.relay_from(CHATROOM)
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

# All of these run on the event loop. A single synchronous middleware would send every request
# through two threads.
MIDDLEWARE = [
    "pubsub.middleware.cors",
    "pubsub.middleware.json_errors",
    "servestatic.middleware.ServeStaticMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]

# Without STATIC_ROOT, static files are served straight from the source. With it, they are served
# from that directory, which `manage.py collectstatic` fills, under names that contain a hash of
# the content, so browsers may cache them for good.
STATIC_URL = "/static/"
STATIC_ROOT = os.environ.get("DJANGO_STATIC_ROOT") or None
SERVESTATIC_USE_FINDERS = STATIC_ROOT is None
SERVESTATIC_USE_MANIFEST = STATIC_ROOT is not None
SERVESTATIC_AUTOREFRESH = DEBUG
SERVESTATIC_MAX_AGE = 0 if STATIC_ROOT is None else 60
if STATIC_ROOT is not None:
    STORAGES = {"staticfiles": {"BACKEND": "chatroom_project.static.HashedFiles"}}

# The views themselves answer 413 to a body that is too large.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * max(_config.max_message_bytes, MAX_BATCH_BYTES)
FILE_UPLOAD_MAX_MEMORY_SIZE = DATA_UPLOAD_MAX_MEMORY_SIZE  # no body is written to disk

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False

SILENCED_SYSTEM_CHECKS = [
    "security.W001",  # SecurityMiddleware: pubsub.middleware sets its headers
    "security.W002",  # XFrameOptionsMiddleware: likewise
    "security.W003",  # CsrfViewMiddleware: no cookie authorizes anything here
]

try:
    LOGGING = logs.configuration(os.environ.get("CHATROOM_LOG_FORMAT", "console"))
except ValueError as error:
    sys.exit(f"chatroom: CHATROOM_LOG_FORMAT {error}")
# Errors of clients are answered but not logged. Only the server's own errors are, and 503 is none.
LOGGING["filters"] = {
    "faults": {
        "()": "django.utils.log.CallbackFilter",
        "callback": lambda record: getattr(record, "status_code", None) != 503,
    }
}
LOGGING["loggers"] |= {
    "django.request": {"level": "ERROR", "filters": ["faults"]},
    "django.security": {"level": "CRITICAL"},
}
