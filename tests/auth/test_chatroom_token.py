"""``manage.py chatroom_token`` prints tokens that the server accepts."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from pubsub import conf
from tests.auth.support import SECRET
from tests.auth.test_tokens import EC, pem


def run(*arguments: str, **settings: Any) -> str:
    """Run the command and return what it prints."""
    output = StringIO()
    with override_settings(CHATROOM=settings or {"JWT_SECRET": SECRET}):
        call_command("chatroom_token", *arguments, stdout=output)
    return output.getvalue().strip()


def test_token_with_all_claims() -> None:
    """The token has the given claims, and the audience and the issuer of the settings."""
    settings = {"JWT_SECRET": SECRET, "JWT_AUDIENCE": "chat", "JWT_ISSUER": "me"}
    token = run(
        *("--sub", "42", "--subscribe", "orders, news", "--subscribe", "user.42.*"),
        *("--publish", "orders", "--manage", "room.*", "--info", '{"name":"Ada"}'),
        **settings,
    )
    identity = conf.access_from(settings).verify_token(token)
    assert identity.user == "42"
    assert identity.subscribe.patterns == ("orders", "news", "user.42.*")
    assert (identity.publish.patterns, identity.manage.patterns) == (("orders",), ("room.*",))
    assert json.loads(identity.info or b"") == {"name": "Ada"}


@pytest.mark.parametrize(
    ("ttl", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800)]
)
def test_duration(ttl: str, seconds: int) -> None:
    """A token is valid for the given time, an hour by default."""
    access = conf.access_from({"JWT_SECRET": SECRET})
    default = access.verify_token(run("--sub", "42")).expires_at
    given = access.verify_token(run("--sub", "42", "--ttl", ttl)).expires_at
    assert default is not None
    assert given is not None
    assert abs(given - default - (seconds - 3600)) <= 5


def private_pem(key: Any) -> bytes:
    """Return a private key in PEM format."""
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def test_private_key(tmp_path: Path) -> None:
    """With a private key the token fits the public key of the settings."""
    file = tmp_path / "key.pem"
    file.write_bytes(private_pem(EC))
    token = run("--sub", "42", "--key", str(file), JWT_PUBLIC_KEY=pem(EC))
    assert conf.access_from({"JWT_PUBLIC_KEY": pem(EC)}).verify_token(token).user == "42"


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ([], {}, "required: --sub"),
        (["--sub", ""], {}, "sub must be a text of 1 to 256"),
        (["--sub", "42", "--ttl", "soon"], {}, "'soon' is not a duration such as 90s"),
        (["--sub", "42", "--ttl", "0"], {}, "'0' is not a duration"),
        (["--sub", "42", "--publish", "a,,b"], {}, "'a,,b' has an empty topic name"),
        (["--sub", "42", "--info", "[]"], {}, "is not a JSON object"),
        (["--sub", "42", "--info", "{"], {}, "is not a JSON object"),
        (["--sub", "42"], {"QUEUE_SIZE": 9}, "CHATROOM_JWT_SECRET is not set"),
        (["--sub", "42"], {"JWT_SECRET": "short"}, "CHATROOM_JWT_SECRET must be a secret"),
        (["--sub", "42", "--key", "/nowhere"], {}, "/nowhere cannot be read"),
        (["--sub", "42", "--key", __file__], {}, "is not an unencrypted private key"),
    ],
)
def test_errors(arguments: list[str], settings: dict[str, Any], message: str) -> None:
    """Whatever is wrong is said in one line, which shows no secret."""
    with pytest.raises(CommandError, match=message) as caught:
        run(*arguments, **settings)
    assert "short" not in str(caught.value)


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), dsa.generate_private_key(2048)]
)
def test_key_of_another_kind(key: Any, tmp_path: Path) -> None:
    """A private key must be for one of the three algorithms."""
    file = tmp_path / "key.pem"
    file.write_bytes(private_pem(key))
    with pytest.raises(CommandError, match="is not a key for RS256, ES256 or EdDSA"):
        run("--sub", "42", "--key", str(file))
