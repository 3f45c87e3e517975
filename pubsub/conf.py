"""The Django setting ``CHATROOM``, a dictionary, as a `Configuration`."""

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
    """Return the configuration that ``values``, keyed as in ``CHATROOM``, ask for.

    A value may be of its type or, as in the environment, text.

    Raises:
        ImproperlyConfigured: It is not a dictionary, or a name or a value is wrong; the message is
            one line that says which.
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
    """Return the configuration of this project's settings.

    Raises:
        ImproperlyConfigured: As `configuration_from`.
    """
    return configuration_from(getattr(settings, "CHATROOM", {}))
