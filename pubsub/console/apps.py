"""The Django app of the page. A project without it has only the WebSocket and REST endpoints."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    """The pages at ``/`` and ``/docs/ws``, with their templates and static files."""

    name = "pubsub.console"
    label = "pubsub_console"
