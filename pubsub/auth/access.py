"""Checks credentials: tokens, API keys, and what a client without either may do."""

import hmac
from enum import Enum
from typing import Any

from pubsub.auth.configuration import AccessConfiguration, Auth
from pubsub.auth.errors import InvalidKey, InvalidToken
from pubsub.auth.identity import Identity, Patterns
from pubsub.auth.tokens import TokenVerifier


class KeyRight(Enum):
    """What an API key may do: everything, or only read."""

    ALL = "all"
    READ = "read"


class Access:
    """Decides who a client is, from the credentials that it presents.

    Args:
        config: The settings.
        authorizer: An instance of the class of the Django project that decides what its users
            may do, or ``None``.

    Raises:
        ValueError: A key for tokens cannot be used; see `TokenVerifier`.
    """

    def __init__(self, config: AccessConfiguration, authorizer: Any = None) -> None:
        self.config = config
        self.authorizer = authorizer
        self.is_on = config.auth is not Auth.NONE
        self.is_required = config.auth is Auth.REQUIRED
        self.anonymous = Identity(None, subscribe=Patterns(config.anonymous_subscribe))
        """What a client without a token may do."""
        self._tokens = TokenVerifier(config) if config.verifies_tokens else None
        self._keys = [
            (key.removesuffix(":read").encode(), KeyRight.READ if _reads(key) else KeyRight.ALL)
            for key in config.api_keys
        ]

    @property
    def has_api_keys(self) -> bool:
        """Whether any API key is configured."""
        return bool(self._keys)

    def verify_token(self, token: str) -> Identity:
        """Return the identity of a valid token.

        Raises:
            ExpiredToken, InvalidToken: The token is invalid; the message says why.
        """
        if self._tokens is None:
            raise InvalidToken("this server accepts no tokens")
        return self._tokens.verify(token)

    def verify_api_key(self, key: str) -> KeyRight:
        """Return what an API key may do. The time that this takes says nothing about the keys.

        Raises:
            InvalidKey: The key is unknown.
        """
        found = self._rights_of(key)
        if not found:
            raise InvalidKey
        return found[0]

    def is_api_key(self, key: str) -> bool:
        """Return whether an API key is known, in the same constant time."""
        return bool(self._rights_of(key))

    def _rights_of(self, key: str) -> list[KeyRight]:
        presented = key.encode("utf-8", "surrogateescape")
        return [right for own, right in self._keys if hmac.compare_digest(own, presented)]


def _reads(key: str) -> bool:
    return key.endswith(":read")
