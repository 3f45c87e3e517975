"""The Django setting ``CHATROOM``, a dictionary, as `Limits`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from pubsub.core.limits import Limits

SETTING_NAMES: tuple[str, ...] = tuple(field.name.upper() for field in dataclasses.fields(Limits))

_EXPECTED = {
    "QUEUE_SIZE": "a whole number of at least 1",
    "QUEUE_BYTES": "a whole number of at least 1",
    "OVERFLOW": "drop_newest, drop_oldest or disconnect",
    "WRITE_TIMEOUT": "a number of seconds above 0",
    "HISTORY_SIZE": "a whole number from 0 to 1000",
    "AUTO_CREATE_TOPICS": "true or false",
    "MAX_MESSAGE_BYTES": "a whole number of at least 1",
    "RATE_LIMIT": "a number of messages a second, or 0 for no limit",
    "MAX_TOPICS": "a whole number of at least 1",
    "MAX_SUBSCRIPTIONS": "a whole number of at least 1",
}


def limits_from(values: Mapping[str, Any]) -> Limits:
    """Return the limits that ``values``, keyed as in ``CHATROOM``, ask for.

    A value may be of its type or, as in the environment, text.

    Raises:
        ImproperlyConfigured: A name or a value is wrong; the message is one line that says which.
    """
    if not isinstance(values, Mapping):
        raise ImproperlyConfigured(f"CHATROOM must be a dictionary, not {values!r}")
    limits = Limits()
    for name, value in values.items():
        if name not in SETTING_NAMES:
            raise ImproperlyConfigured(
                f"CHATROOM has no setting {name!r}; it has {', '.join(SETTING_NAMES)}"
            )
        field = name.lower()
        try:
            converted = msgspec.convert(value, type(getattr(limits, field)), strict=False)
            limits = dataclasses.replace(limits, **{field: converted})
        except ValueError:
            raise ImproperlyConfigured(
                f"CHATROOM_{name} must be {_EXPECTED[name]}, not {value!r}"
            ) from None
    return limits


def get_limits() -> Limits:
    """Return the limits of this project's settings.

    Raises:
        ImproperlyConfigured: As `limits_from`.
    """
    return limits_from(getattr(settings, "CHATROOM", {}))
