"""The Django app of the page; a project without it has the WebSocket and the REST endpoints alone."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """Brings the templates and the static files."""

    name = "pubsub.console"
    label = "pubsub_console"
