"""The Django app."""

from django.apps import AppConfig


class PubSubConfig(AppConfig):
    """Registers the system checks, and lets tests override the settings."""

    name = "pubsub"

    def ready(self) -> None:
        """Connect what Django calls back."""
        from django.core.signals import setting_changed

        from pubsub import checks, runtime

        checks.register_checks()
        setting_changed.connect(runtime.on_setting_changed)
