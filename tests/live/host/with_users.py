"""The host project's settings, with users, sessions and topics created on demand."""

from tests.live.host.settings import *  # noqa: F403

INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "pubsub",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
CHATROOM = {"AUTO_CREATE_TOPICS": True}
