"""The host project's settings, with users who may use the topics that begin with their id."""

from typing import Any

from tests.live.host.settings import *  # noqa: F403

INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "pubsub",
]
MIDDLEWARE = [
    "pubsub.middleware.cors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
ROOT_URLCONF = "tests.live.host.members_urls"
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
AUTHENTICATION_BACKENDS = ["tests.live.host.members_urls.Backend"]

# Errors of clients are answered, as in the chat room's own project.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"django.request": {"level": "ERROR"}},
}


class Authorizer:
    """Lets users do everything with the topics that begin with their id."""

    def may_subscribe(self, user: Any, topic: str) -> bool:
        """Decide in a thread, as with a database."""
        return topic.startswith(f"{user.pk}.")

    async def may_publish(self, user: Any, topic: str) -> bool:
        """Decide on the event loop."""
        return topic.startswith(f"{user.pk}.")

    may_manage = may_subscribe


CHATROOM = {
    "AUTH": "optional",
    "AUTHORIZER": "tests.live.host.members.Authorizer",
    "ALLOWED_ORIGINS": "https://app.example,*",
}
