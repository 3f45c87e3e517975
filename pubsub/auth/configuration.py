"""The settings that say who may connect and what they may do."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network

from pubsub import origins
from pubsub.core.configuration import check_fields, seconds, setting

MIN_SECRET_BYTES = 32
"""Bytes of the shortest secret for HS256 (RFC 7518 §3.2)."""


class Auth(StrEnum):
    """Whether a client needs a token."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


def _is_secret(value: str) -> bool:
    return not value or len(value.strip().encode()) >= MIN_SECRET_BYTES


def _are_keys(values: tuple[str, ...]) -> bool:
    keys = [value.removesuffix(":read") for value in values]
    return all(keys) and len(set(keys)) == len(keys)


def _are_patterns(values: tuple[str, ...]) -> bool:
    return all(values)


def _are_networks(values: tuple[str, ...]) -> bool:
    try:
        for value in values:
            ip_network(value, strict=False)
    except ValueError:
        return False
    return True


def _are_origins(values: tuple[str, ...]) -> bool:
    return all(value == origins.ANY or origins.parse_pattern(value) for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessConfiguration:
    """Who may connect, and what they may do.

    Raises:
        ValueError: A value is invalid; the message starts with the name of the field and never
            contains a secret.
    """

    auth: Auth = setting(Auth.NONE, "none, optional or required")  # noqa: RUF009  # it is a field

    auth_timeout: float = seconds(15.0)
    """Seconds that a client has to authenticate where a token is required."""

    jwt_secret: str = setting(
        "", f"a secret of at least {MIN_SECRET_BYTES} bytes", _is_secret, secret=True
    )
    """The secret for tokens with HS256."""

    jwt_previous_secret: str = setting(
        "", f"a secret of at least {MIN_SECRET_BYTES} bytes", _is_secret, secret=True
    )
    """The secret before the current one; its tokens are still valid."""

    jwt_public_key: str = setting(
        "", "a public key in PEM format, or the path of a file with one", secret=True
    )
    """The key for tokens with RS256, ES256 or EdDSA."""

    jwt_jwks: str = setting("", "the path of a file with a JSON Web Key Set")
    """The keys for tokens with RS256, ES256 or EdDSA (RFC 7517 §5)."""

    jwt_audience: str = setting("", "an audience")
    """The ``aud`` that tokens must have; empty to accept any."""

    jwt_issuer: str = setting("", "an issuer")
    """The ``iss`` that tokens must have; empty to accept any."""

    api_keys: tuple[str, ...] = setting(
        (),
        "different keys separated by commas, each optionally followed by :read",
        _are_keys,
        secret=True,
    )
    """The keys for REST; one that ends with ``:read`` may only read."""

    anonymous_subscribe: tuple[str, ...] = setting(
        (), "topic names separated by commas, in which * stands for any characters", _are_patterns
    )
    """Topics that a client without a token may subscribe to and read."""

    authorizer: str = setting("", "the dotted path of a class")
    """A class of the Django project that decides what its users may do."""

    allowed_origins: tuple[str, ...] = setting(
        (),
        "origins such as https://example.org or https://*.example.org separated by commas, or *",
        _are_origins,
    )
    """Origins of the pages that may connect, beside those of the request's own host."""

    trusted_proxies: tuple[str, ...] = setting(
        (), "IP addresses and networks separated by commas", _are_networks
    )
    """Proxies whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.auth is not Auth.NONE and not (self.verifies_tokens or self.authorizer):
            raise ValueError(
                f"auth must be none, because {self.auth} needs JWT_SECRET, JWT_PUBLIC_KEY, "
                "JWT_JWKS or AUTHORIZER"
            )

    @property
    def verifies_tokens(self) -> bool:
        """Whether there is a key for tokens."""
        return bool(self.jwt_secret or self.jwt_public_key or self.jwt_jwks)
