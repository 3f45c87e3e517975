"""Converts the Django setting ``CHATROOM``, a dictionary, to a `Configuration`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from pubsub.core.configuration import Configuration, expected

SETTING_NAMES: tuple[str, ...] = tuple(
    field.name.upper() for field in dataclasses.fields(Configuration)
)


def configuration_from(values: Mapping[str, Any]) -> Configuration:
    """Return the configuration for ``values``, which has the keys of ``CHATROOM``.

    A value may have the type of its setting or, as in the environment, be a string.

    Raises:
        ImproperlyConfigured: ``values`` is not a dictionary, or a name or a value in it is
            invalid. The message is one line that says which.
    """
    if not isinstance(values, Mapping):
        raise ImproperlyConfigured(f"CHATROOM must be a dictionary, not {values!r}")
    config = Configuration()
    for name, value in values.items():
        if name not in SETTING_NAMES:
            raise ImproperlyConfigured(
                f"CHATROOM has no setting {name!r}; it has {', '.join(SETTING_NAMES)}"
            )
        field = name.lower()
        try:
            converted = msgspec.convert(value, type(getattr(config, field)), strict=False)
            config = dataclasses.replace(config, **{field: converted})
        except ValueError:
            raise ImproperlyConfigured(
                f"CHATROOM_{name} must be {expected(field)}, not {value!r}"
            ) from None
    return config


def get_configuration() -> Configuration:
    """Return the configuration from the settings of the project.

    Raises:
        ImproperlyConfigured: ``CHATROOM`` is invalid; see `configuration_from`.
    """
    return configuration_from(getattr(settings, "CHATROOM", {}))
