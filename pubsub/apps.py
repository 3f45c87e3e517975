"""The Django app."""

from django.apps import AppConfig


class PubSubConfig(AppConfig):
    """The chat room's server, without its page."""

    name = "pubsub"

    def ready(self) -> None:
        """Register the system checks and connect the signals."""
        from django.core.handlers.wsgi import WSGIHandler
        from django.core.signals import request_started, setting_changed

        from pubsub import checks, processes, runtime

        checks.register_checks()
        setting_changed.connect(runtime.on_setting_changed)
        request_started.connect(processes.mark_wsgi, sender=WSGIHandler)
