"""Settings of a project with a database: users, sessions, and groups whose members share a topic.

``CLUB_DATABASE`` is the path of the database, which ``python -m tests.live.host.club_database``
creates, and ``CLUB_AUTHORIZER`` the name of a class in `tests.live.host.club_authorizers`.
"""

import os

from tests.live.host.settings import *  # noqa: F403

ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "tests.live.host.club_urls"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["CLUB_DATABASE"]}
}
INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "pubsub",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
CHATROOM = {
    "AUTH": "required",
    "AUTHORIZER": f"tests.live.host.club_authorizers.{os.environ['CLUB_AUTHORIZER']}",
    "JWT_SECRET": "a secret of the tests with 32 bytes or more",
    "AUTO_CREATE_TOPICS": True,
    "ALLOWED_ORIGINS": os.environ.get("CLUB_ORIGINS", ""),
    "RELAY": os.environ.get("CLUB_RELAY", ""),
}
