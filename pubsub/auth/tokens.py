"""Verifies JSON Web Tokens (RFC 7519), with PyJWT."""

from pathlib import Path
from typing import Any, NamedTuple

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from pubsub.auth.configuration import AccessConfiguration
from pubsub.auth.errors import ExpiredToken, InvalidToken
from pubsub.auth.identity import Identity, Patterns, compile_patterns, is_complex
from pubsub.auth.info import encode_info

MAX_USER_LENGTH = 256
"""Characters that the claim ``sub`` may have; it is repeated in every event of the user."""

MAX_COMPLEX = 50
"""Patterns in one claim that need a regular expression, which takes long to compile."""

MIN_RSA_BITS = 2048
"""Bits of the shortest RSA key (RFC 7518 §3.3)."""


class _Key(NamedTuple):
    """A key, and the only algorithm that it is used with."""

    algorithm: str
    key: Any
    id: str | None = None


class TokenVerifier:
    """Converts tokens to identities.

    The algorithm of a token only selects among the configured keys, each of which has exactly one
    algorithm. So neither ``alg: none`` nor a public key used as a secret is ever accepted
    (RFC 8725 §3.1).

    Raises:
        ValueError: A key cannot be used; the message starts with the name of the setting, and
            contains no secret.
    """

    def __init__(self, config: AccessConfiguration) -> None:
        self._keys = [
            *_secrets(config.jwt_secret, config.jwt_previous_secret),
            *_public_key(config.jwt_public_key),
            *_key_set(config.jwt_jwks),
        ]
        self._audience = config.jwt_audience or None
        self._issuer = config.jwt_issuer or None

    def verify(self, token: str) -> Identity:
        """Return the identity of a valid token.

        Raises:
            ExpiredToken: The token is valid but for its expiry.
            InvalidToken: The token is invalid; the message says why.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise InvalidToken("the token is not a JSON Web Token") from None
        keys = self._candidates(header.get("alg"), header.get("kid"))
        if not keys:
            raise InvalidToken("the token's algorithm or key is not accepted")
        for key in keys[:-1]:
            try:
                return self._identity(token, key)
            except _WrongSignature:
                continue
        return self._identity(token, keys[-1])

    def _candidates(self, algorithm: Any, key_id: Any) -> list[_Key]:
        keys = [key for key in self._keys if key.algorithm == algorithm]
        named = [key for key in keys if key.id is not None and key.id == key_id]
        return named or [key for key in keys if key.id is None or key_id is None]

    def _identity(self, token: str, key: _Key) -> Identity:
        try:
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["sub", "exp"],
                    "verify_aud": self._audience is not None,
                    "verify_iat": False,  # RFC 7519 §4.1.6 gives it no meaning for validity
                },
            )
        except jwt.ExpiredSignatureError:
            raise ExpiredToken from None
        except jwt.InvalidSignatureError:
            raise _WrongSignature("the token's signature is wrong") from None
        except jwt.PyJWTError as error:
            raise InvalidToken(_explain(error)) from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise InvalidToken("the token has an invalid claim") from None
        return _identity_of(claims)


class _WrongSignature(InvalidToken):
    """Another key may fit."""


_EXPLANATIONS: dict[type[Exception], str] = {
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.InvalidIssuerError: "the token is from another issuer",
}


def _explain(error: jwt.PyJWTError) -> str:
    if isinstance(error, jwt.MissingRequiredClaimError):
        return f"the token has no claim {error.claim}"
    return _EXPLANATIONS.get(type(error), "the token has an invalid claim")


def _identity_of(claims: dict[str, Any]) -> Identity:
    user = claims["sub"]
    if not isinstance(user, str) or not 0 < len(user) <= MAX_USER_LENGTH or not user.isprintable():
        raise InvalidToken(
            f"the claim sub must be a text of 1 to {MAX_USER_LENGTH} printable characters"
        )
    try:
        expires_at = float(claims["exp"])
    except OverflowError:
        raise InvalidToken("the token has an invalid claim") from None
    return Identity(
        user,
        subscribe=_patterns(claims, "subscribe"),
        publish=_patterns(claims, "publish"),
        manage=_patterns(claims, "manage"),
        info=_info(claims),
        expires_at=expires_at,
    )


def _patterns(claims: dict[str, Any], name: str) -> Patterns:
    patterns = claims.get(name, [])
    if not isinstance(patterns, list) or not all(
        isinstance(pattern, str) and pattern for pattern in patterns
    ):
        raise InvalidToken(f"the claim {name} must be a list of topic names")
    if sum(map(is_complex, patterns)) > MAX_COMPLEX:
        raise InvalidToken(
            f"the claim {name} has more than {MAX_COMPLEX} patterns with * before the end"
        )
    return compile_patterns(tuple(patterns))


def _info(claims: dict[str, Any]) -> bytes | None:
    if "info" not in claims:
        return None
    try:
        return encode_info(claims["info"])
    except ValueError as error:
        raise InvalidToken(f"the claim {error}") from None


def _secrets(current: str, previous: str) -> list[_Key]:
    secrets = {"jwt_secret": current, "jwt_previous_secret": previous}
    return [_secret(name, secret) for name, secret in secrets.items() if secret]


def _secret(setting: str, secret: str) -> _Key:
    try:
        jwt.get_algorithm_by_name("HS256").prepare_key(secret)
    except jwt.PyJWTError:
        raise ValueError(f"{setting} is a public key, which is no secret") from None
    return _Key("HS256", secret)


def _public_key(setting: str) -> list[_Key]:
    if not setting:
        return []
    pem = setting if "-----BEGIN" in setting else _read("jwt_public_key", setting)
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("jwt_public_key is not a public key in PEM format") from None
    algorithm = algorithm_of(key)
    if algorithm is None:
        raise ValueError(
            f"jwt_public_key must be an RSA key of at least {MIN_RSA_BITS} bits, a P-256 key or an "
            "Ed25519 key"
        )
    return [_Key(algorithm, key)]


def _key_set(path: str) -> list[_Key]:
    if not path:
        return []
    text = _read("jwt_jwks", path)
    try:
        keys = jwt.PyJWKSet.from_json(text).keys
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, KeyError):
        keys = []
    # Keys that are for something else are ignored (RFC 7517 §5).
    usable = [
        _Key(algorithm, key.key, key.key_id)
        for key in keys
        if key.public_key_use in (None, "sig") and (algorithm := algorithm_of(key.key))
    ]
    if not usable:
        raise ValueError("jwt_jwks is not a JSON Web Key Set with a key for RS256, ES256 or EdDSA")
    return usable


def algorithm_of(key: Any) -> str | None:
    """Return the algorithm that a public key is for, or ``None`` if there is none."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return "ES256"
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return "EdDSA"
    return None


def _read(setting: str, path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ValueError(f"{setting} names a file that cannot be read ({reason})") from None
