"""Tokens for tests."""

import time
from typing import Any

import jwt

TTL = 86_400
"""Seconds that a token is valid for, because many are made long before the last test runs."""

SECRET = "a secret of the tests with 32 bytes or more"


def token(sub: Any = "42", *, ttl: float = TTL, secret: Any = SECRET, **claims: Any) -> str:
    """Return a token that is valid for ``ttl`` seconds; a claim that is ``None`` is left out."""
    algorithm = claims.pop("algorithm", "HS256")
    headers = claims.pop("headers", None)
    all_claims = {"sub": sub, "exp": int(time.time() + ttl), **claims}
    present = {name: value for name, value in all_claims.items() if value is not None}
    encoded: str = jwt.encode(present, secret, algorithm=algorithm, headers=headers)
    return encoded
