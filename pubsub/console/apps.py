"""The Django app of the page; without it a project has the WebSocket and the REST endpoints."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Brings the templates and the static files."""

    name = "pubsub.console"
    label = "pubsub_console"
