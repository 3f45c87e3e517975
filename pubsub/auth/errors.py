"""Exceptions for clients without the necessary rights.

::

    PubSubError             the root of all errors, in pubsub.core.errors
    └── AccessError
        ├── Unauthorized    no valid credentials
        │   ├── InvalidToken
        │   ├── ExpiredToken
        │   └── InvalidKey
        └── Forbidden       .topic
"""

from pubsub.core.errors import PubSubError


class AccessError(PubSubError):
    """The client may not do what it asked for."""


class Unauthorized(AccessError):
    """The client has no valid credentials, and needs some."""


class InvalidToken(Unauthorized):
    """The token is malformed, has a wrong signature or a wrong claim; the message says which."""


class ExpiredToken(Unauthorized):
    """The token was valid once."""

    def __init__(self) -> None:
        super().__init__("the token has expired")


class InvalidKey(Unauthorized):
    """There is no such API key."""

    def __init__(self) -> None:
        super().__init__("the API key is unknown")


class Forbidden(AccessError):
    """The credentials do not cover this action, or this topic."""
