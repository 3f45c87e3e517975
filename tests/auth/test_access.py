"""Credentials: tokens and API keys, and the settings for them."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from pubsub import conf
from pubsub.auth.access import Access, KeyRight
from pubsub.auth.configuration import AccessConfiguration, Auth
from pubsub.auth.errors import ExpiredToken, InvalidToken, Unauthorized
from tests.auth.support import SECRET, token


def test_off_by_default() -> None:
    """By default there is no access control, and no token is accepted."""
    access = Access(AccessConfiguration())
    assert (access.is_on, access.is_required, access.has_api_keys) == (False, False, False)
    with pytest.raises(InvalidToken, match="accepts no tokens"):
        access.verify_token(token())


def test_tokens() -> None:
    """A valid token is an identity; an expired one is told apart from an invalid one."""
    access = Access(AccessConfiguration(jwt_secret=SECRET))
    assert access.verify_token(token()).user == "42"
    with pytest.raises(ExpiredToken):
        access.verify_token(token(ttl=-1))
    with pytest.raises(InvalidToken):
        access.verify_token("x")


def test_api_keys() -> None:
    """A key may do everything unless it is declared to read only."""
    access = Access(AccessConfiguration(api_keys=("secret", "reader:read")))
    assert access.verify_api_key("secret") is KeyRight.ALL
    assert access.verify_api_key("reader") is KeyRight.READ
    for key in ("", "Secret", "secret2", "reader:read", "é", "\udcff"):
        with pytest.raises(Unauthorized, match="unknown"):
            access.verify_api_key(key)


def test_anonymous_clients_may_read_what_is_open() -> None:
    """A client without a token may read the configured topics and publish nothing."""
    access = Access(
        AccessConfiguration(
            auth=Auth.OPTIONAL, jwt_secret=SECRET, anonymous_subscribe=("news", "open.*")
        )
    )
    assert access.is_on
    assert not access.is_required
    assert access.anonymous.user is None
    assert access.anonymous.subscribe.cover("open.1")
    assert not access.anonymous.publish
    assert not access.anonymous.manage


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"AUTH": "required"}, "CHATROOM_AUTH must be none, because required needs JWT_SECRET"),
        ({"AUTH": "optional", "API_KEYS": "k"}, "CHATROOM_AUTH must be none, because optional"),
        ({"JWT_SECRET": "short"}, "CHATROOM_JWT_SECRET must be a secret of at least 32 bytes$"),
        ({"JWT_PUBLIC_KEY": "/nowhere"}, "CHATROOM_JWT_PUBLIC_KEY names a file that cannot be"),
        ({"API_KEYS": ","}, "CHATROOM_API_KEYS must be different keys separated by commas"),
        ({"API_KEYS": "a,a:read"}, "CHATROOM_API_KEYS must be different keys"),
        ({"JWT_SECRET": " " * 40}, "CHATROOM_JWT_SECRET must be a secret of at least 32 bytes$"),
        ({"API_KEYS": "a,:read"}, "CHATROOM_API_KEYS must be different keys separated by"),
        ({"AUTHORIZER": "nowhere.Authorizer"}, "CHATROOM_AUTHORIZER cannot be imported"),
        ({"AUTHORIZER": "json.JSONDecoder"}, "CHATROOM_AUTHORIZER .* has no method may_subscribe"),
        ({"TRUSTED_PROXIES": "10.0.0.0/99"}, "CHATROOM_TRUSTED_PROXIES must be IP addresses and"),
        ({"ALLOWED_ORIGINS": "example.org"}, "CHATROOM_ALLOWED_ORIGINS must be origins"),
        ({"ALLOWED_ORIGINS": "https://example.org/x"}, "CHATROOM_ALLOWED_ORIGINS must be"),
        ({"ALLOWED_ORIGINS": "https://a:b"}, "CHATROOM_ALLOWED_ORIGINS must be"),
        ({"ALLOWED_ORIGINS": "https://a.*.org"}, "CHATROOM_ALLOWED_ORIGINS must be"),
        ({"ANONYMOUS_SUBSCRIBE": [""]}, "CHATROOM_ANONYMOUS_SUBSCRIBE must be topic names"),
    ],
)
def test_invalid_settings(values: dict[str, str], message: str) -> None:
    """The message names the setting and never shows a secret."""
    with pytest.raises(ImproperlyConfigured, match=message) as caught:
        conf.access_from(values)
    assert "short" not in str(caught.value)


def test_valid_settings() -> None:
    """Values from the environment are split at commas."""
    access = conf.access_from(
        {
            "AUTH": "required",
            "JWT_SECRET": SECRET,
            "API_KEYS": "a, b:read",
            "ALLOWED_ORIGINS": "https://example.org:8443,http://*.example.org,*",
            "TRUSTED_PROXIES": "10.0.0.0/8, ::1",
        }
    )
    assert access.is_required
    assert access.config.api_keys == ("a", "b:read")
    assert access.config.allowed_origins[1] == "http://*.example.org"
