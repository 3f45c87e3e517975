"""Converts the Django setting ``CHATROOM``, a dictionary, to the configurations of the package."""

import dataclasses
import importlib.util
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from pubsub.auth.access import Access
from pubsub.auth.configuration import AccessConfiguration
from pubsub.core.configuration import Configuration
from pubsub.core.options import MAX_CONFIGURED_HISTORY, GivenOptions, Overflow, TopicRules
from pubsub.relay.configuration import RelayConfiguration

_CONFIGURATIONS: tuple[type[Any], ...] = (
    Configuration,
    AccessConfiguration,
    RelayConfiguration,
)

_FIELDS = {
    field.name.upper(): field for each in _CONFIGURATIONS for field in dataclasses.fields(each)
}

_OPTIONS = {
    "history": f"an integer from 0 to {MAX_CONFIGURED_HISTORY}",
    "history_seconds": "a number of seconds above 0",
    "presence": "true or false",
    "overflow": f"one of {', '.join(Overflow)}",
    "auto_create": "true or false",
}
"""The values that each option of a topic may have, as an error describes them."""

SETTING_NAMES: tuple[str, ...] = tuple(_FIELDS)

T = TypeVar("T", Configuration, AccessConfiguration, RelayConfiguration)


def configuration_from(values: Mapping[str, Any]) -> Configuration:
    """Return the configuration of the broker for ``values``, which has the keys of ``CHATROOM``.

    A value may have the type of its setting or, as in the environment, be a string.

    Raises:
        ImproperlyConfigured: ``values`` is not a dictionary, or a name or a value in it is
            invalid. The message is one line that says which, and contains no secret.
    """
    return _convert(Configuration, values)


def get_configuration() -> Configuration:
    """Return the configuration of the broker from the settings of the project.

    Raises:
        ImproperlyConfigured: ``CHATROOM`` is invalid; see `configuration_from`.
    """
    return configuration_from(getattr(settings, "CHATROOM", {}))


def access_from(values: Mapping[str, Any], *, load_authorizer: bool = True) -> Access:
    """Return the check of credentials for ``values``, which has the keys of ``CHATROOM``.

    Args:
        values: The settings.
        load_authorizer: Import the class that ``AUTHORIZER`` names, which needs Django's apps.

    Raises:
        ImproperlyConfigured: A setting is invalid, as for `configuration_from`, a key for tokens
            cannot be used, or there is no such class.
    """
    config = _convert(AccessConfiguration, values)
    try:
        authorizer = _authorizer(config.authorizer) if load_authorizer else None
        return Access(config, authorizer)
    except ValueError as error:
        raise _improper(error) from None


def get_access() -> Access:
    """Return the check of credentials from the settings of the project.

    Raises:
        ImproperlyConfigured: ``CHATROOM`` is invalid; see `access_from`.
    """
    return access_from(getattr(settings, "CHATROOM", {}))


def relay_from(values: Mapping[str, Any]) -> RelayConfiguration:
    """Return how processes reach each other for ``values``, which has the keys of ``CHATROOM``.

    Raises:
        ImproperlyConfigured: A setting is invalid, as for `configuration_from`, a file cannot be
            used, or nats-py is needed and not installed.
    """
    config = _convert(RelayConfiguration, values)
    if config.relay:
        if importlib.util.find_spec("nats") is None:
            raise ImproperlyConfigured("CHATROOM_RELAY needs the package chatroom[cluster]")
        try:
            config.check_files()
        except ValueError as error:
            raise _improper(error) from None
    return config


def get_relay_configuration() -> RelayConfiguration:
    """Return how processes reach each other from the settings of the project.

    Raises:
        ImproperlyConfigured: ``CHATROOM`` is invalid; see `relay_from`.
    """
    return relay_from(getattr(settings, "CHATROOM", {}))


def _authorizer(path: str) -> Any:
    if not path:
        return None
    try:
        authorizer = import_string(path)
    except ImportError as error:
        raise ValueError(f"authorizer cannot be imported ({error})") from None
    missing = [
        name
        for name in ("may_subscribe", "may_publish", "may_manage")
        if not callable(getattr(authorizer, name, None))
    ]
    if missing:
        raise ValueError(f"authorizer {path} has no method {missing[0]}")
    return authorizer()


def _improper(error: ValueError) -> ImproperlyConfigured:
    name, _, rest = str(error).partition(" ")
    return ImproperlyConfigured(f"CHATROOM_{name.upper()} {rest}")


def _convert(configuration: type[T], values: Mapping[str, Any]) -> T:
    if not isinstance(values, Mapping):
        raise ImproperlyConfigured(f"CHATROOM must be a dictionary, not {values!r}")
    converted = {}
    for name, value in values.items():
        if name not in _FIELDS:
            raise ImproperlyConfigured(
                f"CHATROOM has no setting {name!r}; it has {', '.join(SETTING_NAMES)}"
            )
        converted[name.lower()] = _value(name, value)
    own = {field.name for field in dataclasses.fields(configuration)}
    try:
        return configuration(**{name: converted[name] for name in own & converted.keys()})
    except ValueError as error:  # values that do not go together
        raise _improper(error) from None


def _topic_rules(value: Any) -> TopicRules:
    """Return the rules for topics that ``value`` describes: an object, or JSON for one.

    Raises:
        ImproperlyConfigured: It is something else, or a name or an option in it is invalid.
    """
    expected = _FIELDS["TOPICS"].metadata["expected"]
    try:
        given = msgspec.json.decode(value.strip() or "{}") if isinstance(value, str) else value
    except msgspec.MsgspecError as error:
        raise ImproperlyConfigured(
            f"CHATROOM_TOPICS must be {expected} ({error}), not {value!r}"
        ) from None
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ImproperlyConfigured(f"CHATROOM_TOPICS must be {expected}, not {value!r}")
    try:
        return TopicRules({name: _options(name, options) for name, options in given.items()})
    except ValueError as error:
        raise ImproperlyConfigured(f"CHATROOM_TOPICS: {error}") from None


def _options(name: str, options: Any) -> GivenOptions:
    if not isinstance(options, Mapping):
        raise ValueError(f"the options of {name!r} must be an object")
    for option, value in options.items():
        if option not in _OPTIONS:
            known = ", ".join(_OPTIONS)
            raise ValueError(f"{name!r} has an unknown option {option!r}; known are {known}")
        try:
            msgspec.convert({option: value}, GivenOptions)
        except ValueError:
            message = f"{option} of {name!r} must be {_OPTIONS[option]}, not {value!r}"
            raise ValueError(message) from None
    return msgspec.convert(options, GivenOptions)


def _value(name: str, value: Any) -> Any:
    field = _FIELDS[name]
    if isinstance(field.default, TopicRules):
        return value if isinstance(value, TopicRules) else _topic_rules(value)
    given = value
    if isinstance(field.default, tuple) and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
        if given.strip() and not value:
            value = [""]  # nothing but commas is a mistake
    try:
        converted = msgspec.convert(value, _type_of(field), strict=False)
        if field.metadata["valid"](converted):
            return converted
    except ValueError:
        pass
    shown = "" if field.metadata["secret"] else f", not {given!r}"
    raise ImproperlyConfigured(f"CHATROOM_{name} must be {field.metadata['expected']}{shown}")


def _type_of(field: "dataclasses.Field[Any]") -> Any:
    return tuple[str, ...] if isinstance(field.default, tuple) else type(field.default)
