"""Issues tokens, for trials and scripts; a backend of its own needs only a library for JWT."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pubsub.auth.configuration import AccessConfiguration
from pubsub.auth.tokens import algorithm_of


def issue_token(
    config: AccessConfiguration,
    sub: str,
    *,
    ttl: float,
    rights: Mapping[str, Sequence[str]],
    info: Mapping[str, Any] | None = None,
    key: Path | None = None,
) -> str:
    """Return a token for a user, with the configured audience and issuer.

    Args:
        config: The settings, with the secret unless there is a ``key``.
        sub: The user.
        ttl: Seconds until the token expires.
        rights: The topic names and patterns for ``subscribe``, ``publish`` and ``manage``.
        info: What presence shows about the user.
        key: A file with a private key in PEM format, for RS256, ES256 or EdDSA.

    Raises:
        ValueError: There is neither a secret nor a key, or the key cannot be used. The message
            contains no secret.
    """
    claims: dict[str, Any] = {"sub": sub, "exp": int(time.time() + ttl)}
    claims |= {name: list(patterns) for name, patterns in rights.items() if patterns}
    optional = {"info": info, "aud": config.jwt_audience, "iss": config.jwt_issuer}
    claims |= {name: value for name, value in optional.items() if value}
    signing_key, algorithm = _signing_key(config, key)
    return jwt.encode(claims, signing_key, algorithm=algorithm)


def _signing_key(config: AccessConfiguration, file: Path | None) -> tuple[Any, str]:
    if file is None:
        if not config.jwt_secret:
            raise ValueError("CHATROOM_JWT_SECRET is not set, and no private key was given")
        return config.jwt_secret, "HS256"
    try:
        key: Any = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror})") from None
    except (ValueError, TypeError):
        raise ValueError(f"{file} is not an unencrypted private key in PEM format") from None
    algorithm = algorithm_of(key.public_key())
    if algorithm is None:
        raise ValueError(f"{file} is not a key for RS256, ES256 or EdDSA")
    return key, algorithm


def parse_info(text: str) -> dict[str, Any]:
    """Return the object in a JSON text.

    Raises:
        ValueError: It is not a JSON object.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"{text!r} is not a JSON object")
    return value
