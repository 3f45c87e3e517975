"""Tokens: algorithms, keys and claims."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from pubsub.auth.configuration import AccessConfiguration
from pubsub.auth.errors import ExpiredToken, InvalidToken
from pubsub.auth.tokens import TokenVerifier
from tests.auth.support import SECRET, TTL, token

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
KEYS = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


def pem(private_key: Any) -> str:
    """Return the public key of a private key."""
    key = private_key.public_key()
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def verifier(**settings: Any) -> TokenVerifier:
    """Return a verifier; by default for tokens with the secret of the tests."""
    return TokenVerifier(AccessConfiguration(**(settings or {"jwt_secret": SECRET})))


def test_valid_token() -> None:
    """All claims of a valid token become an identity."""
    identity = verifier().verify(
        token(subscribe=["orders", "a.*"], publish=["orders"], manage=["*"], info={"name": "Zoë"})
    )
    assert identity.user == "42"
    assert identity.subscribe.patterns == ("orders", "a.*")
    assert identity.publish.cover("orders")
    assert not identity.publish.cover("a.1")
    assert identity.manage.cover("anything")
    assert identity.info == '{"name":"Zoë"}'.encode()
    assert identity.expires_at is not None
    assert 0 < identity.expires_at - time.time() <= TTL


def test_rights_are_optional() -> None:
    """A token without rights is valid and covers nothing."""
    identity = verifier().verify(token())
    rights = (identity.subscribe, identity.publish, identity.manage)
    assert not any(rights)
    assert identity.info is None


@pytest.mark.parametrize("algorithm", KEYS)
def test_public_keys(algorithm: str, tmp_path: Path) -> None:
    """Tokens may be signed with a private key, whose public key is text or a file."""
    signed = token(secret=KEYS[algorithm], algorithm=algorithm)
    file = tmp_path / "key.pem"
    file.write_text(pem(KEYS[algorithm]))
    assert verifier(jwt_public_key=pem(KEYS[algorithm])).verify(signed).user == "42"
    assert verifier(jwt_public_key=str(file)).verify(signed).user == "42"


def key_set(tmp_path: Path, *keys: dict[str, Any]) -> str:
    """Write a JSON Web Key Set and return its path."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": keys}))
    return str(file)


def jwk(algorithm: str, **fields: Any) -> dict[str, Any]:
    """Return a public key as a JSON Web Key."""
    key = KEYS[algorithm].public_key()  # type: ignore[attr-defined]
    return {**get_default_algorithms()[algorithm].to_jwk(key, as_dict=True), **fields}  # type: ignore[call-overload]


def test_key_set(tmp_path: Path) -> None:
    """The key of a set is chosen by its id; keys for something else are ignored."""
    path = key_set(
        tmp_path,
        jwk("RS256", kid="rsa"),
        jwk("ES256", kid="ec"),
        jwk("EdDSA"),
        {**jwk("ES256"), "kid": "encryption", "use": "enc"},
        {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "kid": "oct"},
    )
    keys = verifier(jwt_jwks=path)
    assert keys.verify(token(secret=RSA, algorithm="RS256", headers={"kid": "rsa"})).user == "42"
    assert keys.verify(token(secret=EC, algorithm="ES256")).user == "42"
    assert keys.verify(token(secret=ED, algorithm="EdDSA", headers={"kid": "x"})).user == "42"
    with pytest.raises(InvalidToken, match="algorithm or key is not accepted"):
        keys.verify(token(secret=EC, algorithm="ES256", headers={"kid": "other"}))
    with pytest.raises(InvalidToken, match="algorithm or key is not accepted"):
        keys.verify(token())


def test_rotation_of_the_secret() -> None:
    """Tokens with the previous secret stay valid; those with another one do not."""
    rotated = verifier(jwt_secret=SECRET, jwt_previous_secret="b" * 32)
    assert rotated.verify(token()).user == "42"
    assert rotated.verify(token(secret="b" * 32)).user == "42"
    with pytest.raises(InvalidToken, match="signature is wrong"):
        rotated.verify(token(secret="c" * 32))


def unsigned(header: dict[str, Any], claims: Any, signature: bytes = b"") -> str:
    """Return a token that no library would make."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def hs256_with_public_key(key: str, claims: dict[str, Any]) -> str:
    """Return a token that uses a public key as a secret."""
    import hashlib
    import hmac

    head = unsigned({"alg": "HS256", "typ": "JWT"}, claims).rsplit(".", 1)[0]
    signature = hmac.new(key.encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_confusion_of_algorithms() -> None:
    """Neither ``none`` nor a public key that is used as a secret is accepted (RFC 8725 §2.1)."""
    claims = {"sub": "42", "exp": int(time.time()) + 600}
    with pytest.raises(InvalidToken, match="not accepted"):
        verifier().verify(unsigned({"alg": "none"}, claims))
    with pytest.raises(InvalidToken, match="not accepted"):
        verifier(jwt_public_key=pem(RSA)).verify(hs256_with_public_key(pem(RSA), claims))
    with pytest.raises(InvalidToken, match="not accepted"):
        verifier().verify(token(secret=SECRET * 2, algorithm="HS512"))
    both = verifier(jwt_public_key=pem(RSA), jwt_secret=SECRET)
    with pytest.raises(InvalidToken, match="signature is wrong"):
        both.verify(hs256_with_public_key(pem(RSA), claims))


@pytest.mark.parametrize(
    "garbage",
    [
        *("", ".", "..", "a.b.c", "x" * 5000, "é", "\ud800", "a\nb", "eyJhbGciOiJIUzI1NiJ9"),
        "bnVsbA.e30.",
        "W10.e30.",
        unsigned({"alg": ["HS256"]}, {}),
        unsigned({"alg": {"a": 1}}, {}),
        unsigned({"alg": "HS256", "kid": 1}, {}),
        unsigned({"alg": "HS256"}, {}),
        unsigned({"alg": "HS256", "crit": ["exp"]}, {}),
        unsigned({"alg": "HS256", "b64": False}, {}),
        unsigned({}, {}),
        "[" * 100_000,
        base64.urlsafe_b64encode(b"[" * 100_000).decode() + ".e30.",
    ],
)
def test_garbage(garbage: str) -> None:
    """Whatever is no token is refused with a message."""
    with pytest.raises(InvalidToken, match=r"^the token"):
        verifier().verify(garbage)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"sub": None}, "no claim sub"),
        ({"exp": None}, "no claim exp"),
        ({"sub": ""}, "sub must be a text of 1 to 256"),
        ({"sub": "x" * 257}, "sub must be a text of 1 to 256"),
        ({"sub": "\ud800"}, "sub must be a text"),
        ({"sub": "a\nb"}, "sub must be a text of 1 to 256 printable characters"),
        ({"exp": 10**400}, "invalid claim"),
        ({"subscribe": ["*a"] * 51}, "subscribe has more than 50 patterns with"),
        ({"sub": 42}, "invalid claim"),
        ({"exp": "soon"}, "invalid claim"),
        ({"exp": [1]}, "invalid claim"),
        ({"exp": float("inf")}, "invalid claim"),
        ({"exp": float("nan")}, "invalid claim"),
        ({"nbf": int(time.time()) + 600}, "not valid yet"),
        ({"nbf": "x"}, "invalid claim"),
        ({"subscribe": "orders"}, "subscribe must be a list"),
        ({"publish": [1]}, "publish must be a list"),
        ({"manage": [""]}, "manage must be a list"),
        ({"manage": {"a": 1}}, "manage must be a list"),
        ({"info": "x"}, "info must be an object"),
        ({"info": []}, "info must be an object"),
        ({"info": {"a": "x" * 1020}}, "info must be an object of at most 1024 bytes"),
        ({"info": {"a": "\ud800"}}, "info must be an object"),
        ({"info": {"a": float("nan")}}, "info must be an object"),
    ],
)
def test_invalid_claims(claims: dict[str, Any], message: str) -> None:
    """A claim of a wrong type or size makes the token invalid, and the message names it."""
    with pytest.raises(InvalidToken, match=message):
        verifier().verify(raw_token({"sub": "42", "exp": int(time.time()) + 600, **claims}))


def raw_token(claims: dict[str, Any]) -> str:
    """Return a correctly signed token whose claims no library has checked."""
    present = {name: value for name, value in claims.items() if value is not None}
    payload = json.dumps(present).encode()
    return jwt.api_jws.encode(payload, SECRET, algorithm="HS256")


def test_claims_of_time_may_be_fractions() -> None:
    """NumericDate may have a fraction (RFC 7519 §2), and ``iat`` says nothing about validity."""
    now = time.time()
    claims = {"sub": "42", "exp": now + 10.5, "nbf": now - 1.5, "iat": now + 100}
    assert verifier().verify(raw_token(claims)).user == "42"


def test_largest_info() -> None:
    """The information about a user may have 1024 bytes as compact JSON."""
    info = {"a": "x" * (1024 - len('{"a":""}'))}
    assert len(verifier().verify(token(info=info)).info or b"") == 1024


def test_expired_token() -> None:
    """A token that was valid once is told apart from one that never was."""
    with pytest.raises(ExpiredToken, match="has expired"):
        verifier().verify(token(ttl=-1))
    with pytest.raises(InvalidToken):
        verifier().verify(token(ttl=-1, secret="c" * 32))


def test_audience_and_issuer() -> None:
    """The audience and the issuer are checked if they are configured, and only then."""
    assert verifier().verify(token(aud="other", iss="other")).user == "42"
    strict = verifier(jwt_secret=SECRET, jwt_audience="chat", jwt_issuer="me")
    assert strict.verify(token(aud=["chat", "x"], iss="me")).user == "42"
    with pytest.raises(InvalidToken, match="another audience"):
        strict.verify(token(aud="other", iss="me"))
    with pytest.raises(InvalidToken, match="another issuer"):
        strict.verify(token(aud="chat", iss="other"))
    with pytest.raises(InvalidToken, match="no claim aud"):
        strict.verify(token(iss="me"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jwt_secret": pem(RSA)}, "^jwt_secret is a public key, which is no secret"),
        (
            {"jwt_secret": SECRET, "jwt_previous_secret": "ssh-rsa " + "A" * 40},
            "^jwt_previous_secret is a public key",
        ),
        ({"jwt_public_key": "/nowhere"}, "^jwt_public_key names a file that cannot be read"),
        ({"jwt_public_key": "-----BEGIN X"}, "^jwt_public_key is not a public key"),
        (
            {"jwt_public_key": pem(ec.generate_private_key(ec.SECP384R1()))},
            "^jwt_public_key must be an RSA key",
        ),
        (
            {"jwt_public_key": pem(rsa.generate_private_key(65537, 1024))},
            "^jwt_public_key must be an RSA key of at least 2048 bits",
        ),
        ({"jwt_jwks": "/nowhere"}, "^jwt_jwks names a file that cannot be read"),
        ({"jwt_jwks": __file__}, "^jwt_jwks is not a JSON Web Key Set"),
        ({"jwt_jwks": "/bin/sh"}, "^jwt_jwks names a file that cannot be read .not a text file"),
    ],
)
def test_unusable_keys(settings: dict[str, str], message: str) -> None:
    """A key that cannot be used is refused with the name of its setting."""
    with pytest.raises(ValueError, match=message):
        verifier(**settings)


def test_key_set_without_a_usable_key(tmp_path: Path) -> None:
    """A set of keys must have at least one that is for tokens."""
    path = key_set(tmp_path, {**jwk("ES256"), "use": "enc"})
    with pytest.raises(ValueError, match=r"^jwt_jwks is not a JSON Web Key Set with a key for"):
        verifier(jwt_jwks=path)
