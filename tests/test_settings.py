"""Settings from the environment and from Django, and the messages for invalid ones."""

import dataclasses
import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from pubsub import conf
from pubsub.checks import check_settings
from pubsub.core.configuration import Configuration
from pubsub.core.options import GivenOptions, Overflow, TopicRules
from pubsub.runtime import get_runtime
from tests.live.template import run

PROJECT = Path(__file__).parents[1]


def test_values_may_be_text_or_typed() -> None:
    """A value may be text, as in the environment, or typed, as in a settings module."""
    config = Configuration(queue_size=9, overflow=Overflow.DROP_OLDEST, auto_create_topics=True)
    assert config == conf.configuration_from(
        {"QUEUE_SIZE": "9", "OVERFLOW": "drop_oldest", "AUTO_CREATE_TOPICS": "true"}
    )
    assert config == conf.configuration_from(
        {"QUEUE_SIZE": 9, "OVERFLOW": Overflow.DROP_OLDEST, "AUTO_CREATE_TOPICS": True}
    )
    assert conf.configuration_from({"WRITE_TIMEOUT": "0.5"}).write_timeout == 0.5


BAD_VALUES = {
    "QUEUE_SIZE": "many",
    "QUEUE_BYTES": "0",
    "OVERFLOW": "explode",
    "WRITE_TIMEOUT": "-1",
    "PING_INTERVAL": "0",
    "REQUEST_TIMEOUT": "soon",
    "HISTORY_SIZE": "1000001",
    "HISTORY_BYTES": "256M",
    "RECOVERY_LIMIT": "0",
    "ONCE_SECONDS": "0",
    "PRESENCE_INTERVAL": "0",
    "PRESENCE_LINGER": "-1",
    "PRESENCE_MAX": "0",
    "TOPICS": "orders, news",
    "AUTO_CREATE_TOPICS": "maybe",
    "COMPRESSION": "maybe",
    "MAX_MESSAGE_BYTES": "64K",
    "RATE_LIMIT": "unlimited",
    "RATE_BURST": "-1",
    "REST_RATE_LIMIT": "inf",
    "MAX_MALFORMED": "-1",
    "MAX_CONNECTIONS": "none",
    "MAX_CONNECTIONS_PER_ADDRESS": "1.5",
    "MAX_CONNECTIONS_PER_USER": "-1",
    "MAX_TOPICS": "1.5",
    "MAX_SUBSCRIPTIONS": "",
    "DRAIN_SECONDS": "nan",
    "AUTH": "maybe",
    "AUTH_TIMEOUT": "0",
    "JWT_SECRET": "a secret that is short",
    "JWT_PREVIOUS_SECRET": "a secret that is short",
    "JWT_PUBLIC_KEY": ["a key"],
    "JWT_JWKS": ["a path"],
    "JWT_AUDIENCE": ["an audience"],
    "JWT_ISSUER": ["an issuer"],
    "API_KEYS": "a secret of its own, :read",
    "ANONYMOUS_SUBSCRIBE": ["orders", ""],
    "AUTHORIZER": ["a path"],
    "ALLOWED_ORIGINS": "https://app.example, https://*.example.*",
    "TRUSTED_PROXIES": "10.0.0.0/8, a proxy",
    "RELAY": "nats://user:a secret that is long@host, http://host",
    "RELAY_NAME": "my room",
    "RELAY_CREDENTIALS": ["a path"],
    "RELAY_NKEY": ["a path"],
    "RELAY_TLS_CA": ["a path"],
    "RELAY_TLS_CERT": ["a path"],
    "RELAY_TLS_KEY": ["a path"],
    "RELAY_STORAGE": "disk",
    "RELAY_REPLICAS": "6",
    "RELAY_BUFFER_BYTES": "8M",
}

SECRETS = {"JWT_SECRET", "JWT_PREVIOUS_SECRET", "JWT_PUBLIC_KEY", "API_KEYS", "RELAY"}


def test_every_setting_is_checked() -> None:
    """The table of invalid values covers every setting."""
    assert set(BAD_VALUES) == set(conf.SETTING_NAMES)


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_value(name: str) -> None:
    """The message names the setting, says what a valid value is, and shows no secret."""
    value = BAD_VALUES[name]
    with pytest.raises(ImproperlyConfigured) as error:
        conf.access_from({name: value})
    shown = "" if name in SECRETS else f", not {value!r}"
    assert re.fullmatch(f"CHATROOM_{name} must be .*{re.escape(shown)}", str(error.value))
    assert "a secret that" not in str(error.value)
    assert "a secret of" not in str(error.value).replace("a secret of at least", "")


def test_unknown_name() -> None:
    """A misspelt name in the Django setting is an error."""
    with pytest.raises(ImproperlyConfigured, match="has no setting 'QUEUESIZE'; it has QUEUE_SIZE"):
        conf.configuration_from({"QUEUESIZE": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHATROOM_QUEUE_SIZE", "many"),
        ("CHATROOM_LOG_FORMAT", "xml"),
        ("DJANGO_DEBUG", "perhaps"),
        ("DJANGO_ALLOWED_HOSTS", " , "),
    ],
)
@pytest.mark.parametrize(
    "command",
    [
        ("-m", "daphne", "-p", "0", "chatroom_project.asgi:application"),
        ("-m", "uvicorn", "--port", "0", "chatroom_project.asgi:application"),
        ("manage.py", "runserver", "--noreload", "0"),
    ],
)
def test_bad_value_stops_the_start(command: tuple[str, ...], name: str, value: str) -> None:
    """An invalid value stops the start with one line, on every server."""
    status, output = run(*command, **{name: value})
    assert status == 1
    assert output.startswith(f"chatroom: {name} must be ")
    assert output.count("\n") == 1


def test_other_variables_are_left_alone() -> None:
    """Unknown CHATROOM_ variables are ignored: Kubernetes sets some for a service "chatroom"."""
    status, output = run("manage.py", "check", CHATROOM_PORT="tcp://10.0.0.1:9090")
    assert status == 0, output


def test_overriding_the_setting_creates_a_new_broker(settings: pytest.FixtureRequest) -> None:
    """Overriding the setting, as a Django project's tests do, creates a new broker."""
    settings.CHATROOM = {"QUEUE_SIZE": 7}
    runtime = get_runtime()
    assert runtime.config.queue_size == 7
    settings.CHATROOM = {"QUEUE_SIZE": 8}
    assert get_runtime() is not runtime
    assert check_settings(None) == []


def test_system_check(settings: pytest.FixtureRequest) -> None:
    """`manage.py check` reports an invalid setting of the host project."""
    settings.CHATROOM = {"QUEUE_SIZE": 0}
    (error,) = check_settings(None)
    assert "CHATROOM_QUEUE_SIZE must be a whole number" in error.msg


@pytest.mark.parametrize(
    ("topics", "complaint"),
    [
        ("[1]", r"must be a JSON object of .*, not '\[1\]'"),
        ('{"a b": {}}', "name 'a b': topic must be 1 to 128 printable characters .*"),
        ('{"a": []}', "the options of 'a' must be an object"),
        (
            '{"a": {"size": 1}}',
            "'a' has an unknown option 'size'; known are "
            + ", ".join(field.name for field in dataclasses.fields(GivenOptions)),
        ),
        ('{"a": {"history": "9"}}', "history of 'a' must be an integer from 0 .*, not '9'"),
        ('{"a*": {"history": -1}}', r"history of 'a\*' must be an integer from 0 .*, not -1"),
        ('{"a": {"history_seconds": 0}}', "history_seconds of 'a' must be a number .*, not 0"),
        ('{"a": {"presence": 1}}', "presence of 'a' must be true or false, not 1"),
        (
            '{"a": {"overflow": "explode"}}',
            "overflow of 'a' must be one of drop_newest, .*, catch_up, not 'explode'",
        ),
        ('{"a": {"auto_create": "no"}}', "auto_create of 'a' must be true or false, not 'no'"),
    ],
    ids=range(10),
)
def test_bad_topics(topics: str, complaint: str) -> None:
    """Whatever is wrong with the topics that should exist from the start is named."""
    with pytest.raises(ImproperlyConfigured) as error:
        conf.configuration_from({"TOPICS": topics})
    assert re.fullmatch(f"CHATROOM_TOPICS:? {complaint}", str(error.value)), str(error.value)


def test_no_topics() -> None:
    """An empty value names no topics."""
    assert conf.configuration_from({"TOPICS": " "}).topics == TopicRules()


def test_more_topics_than_allowed() -> None:
    """No more topics can exist from the start than are allowed at all."""
    with pytest.raises(ImproperlyConfigured, match="CHATROOM_TOPICS must be no more"):
        conf.configuration_from({"TOPICS": {"a": {}, "b": {}}, "MAX_TOPICS": 1})
