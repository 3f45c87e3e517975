"""Django system checks of what a server needs before strangers can reach it.

`manage.py check --deploy` runs them; `docs/operations.md` lists their ids.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured

from pubsub import conf
from pubsub.auth.configuration import AccessConfiguration, Auth
from pubsub.core.configuration import Configuration
from pubsub.hosts import AnyAddress
from pubsub.origins import ANY

MIN_KEY_LENGTH = 16
"""Characters of an API key that is not short."""


def check_deployment(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report what is missing. An invalid setting is reported by another check."""
    try:
        config, access = conf.get_configuration(), conf.get_access().config
    except ImproperlyConfigured:
        return []
    return [*_access(access), *_pages(access), *_limits(config)]


def _access(config: AccessConfiguration) -> Iterator[CheckMessage]:
    if config.auth is Auth.NONE:
        yield checks.Warning(
            "CHATROOM_AUTH is none: everyone who reaches the server may read and publish to every "
            "topic.",
            hint="Set CHATROOM_AUTH to required or optional, and CHATROOM_JWT_SECRET.",
            id="pubsub.W005",
        )
    if not config.api_keys:
        everyone = config.auth is Auth.NONE
        yield checks.Warning(
            "CHATROOM_API_KEYS is empty: "
            + ("everyone may delete topics and read" if everyone else "nobody can read")
            + " the statistics and the list of clients.",
            hint="Set CHATROOM_API_KEYS.",
            id="pubsub.W006",
        )
    keys = [key.removesuffix(":read") for key in config.api_keys]
    if any(len(key) < MIN_KEY_LENGTH for key in keys):
        yield checks.Warning(
            f"CHATROOM_API_KEYS has a key of less than {MIN_KEY_LENGTH} characters, which can be "
            "guessed.",
            hint="Make keys with: python -c 'import secrets; print(secrets.token_urlsafe())'",
            id="pubsub.W009",
        )
    secrets = [settings.SECRET_KEY, config.jwt_secret, config.jwt_previous_secret, *keys]
    present = [secret for secret in secrets if secret]
    if len(set(present)) < len(present):
        yield checks.Warning(
            "Two of SECRET_KEY, CHATROOM_JWT_SECRET, CHATROOM_JWT_PREVIOUS_SECRET and "
            "CHATROOM_API_KEYS are equal, so whoever knows one of them can use the other.",
            hint="Give each of them a value of its own.",
            id="pubsub.W012",
        )


def _pages(config: AccessConfiguration) -> Iterator[CheckMessage]:
    if ANY in config.allowed_origins:
        yield checks.Warning(
            "CHATROOM_ALLOWED_ORIGINS contains *: a page of any site may connect, though not with "
            "the session of a user who visits it.",
            hint="List the origins of your pages.",
            id="pubsub.W007",
        )
    if any(host == "*" or isinstance(host, AnyAddress) for host in settings.ALLOWED_HOSTS):
        yield checks.Warning(
            "ALLOWED_HOSTS does not name the hosts of the site.",
            hint="Set DJANGO_ALLOWED_HOSTS, or in your own project ALLOWED_HOSTS.",
            id="pubsub.W008",
        )


def _limits(config: Configuration) -> Iterator[CheckMessage]:
    if not config.max_connections:
        yield checks.Warning(
            "CHATROOM_MAX_CONNECTIONS is 0: clients can connect until memory or file descriptors "
            "are exhausted.",
            hint="Set it to what the machine can serve; see the section Memory in "
            "docs/operations.md.",
            id="pubsub.W010",
        )
    if not (config.rate_limit and config.rest_rate_limit):
        yield checks.Warning(
            "CHATROOM_RATE_LIMIT or CHATROOM_REST_RATE_LIMIT is 0: one client may send as many "
            "messages as the server can process.",
            hint="Set both to what your clients need.",
            id="pubsub.W011",
        )
