"""Django system checks of the ``CHATROOM`` setting."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured

from pubsub import conf


def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report a setting that would stop the start."""
    try:
        conf.get_configuration()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="pubsub.E001")]
    return []


def register_checks() -> None:
    """Register the checks of this app."""
    register(check_settings)
