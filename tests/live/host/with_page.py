"""The host project's settings, with the chat room's page."""

from tests.live.host.settings import *  # noqa: F403

INSTALLED_APPS = ["daphne", "django.contrib.staticfiles", "pubsub.console", "pubsub"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
STATIC_URL = "/static/"
