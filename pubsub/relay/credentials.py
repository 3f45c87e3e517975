"""How a process proves to NATS who it is: with an nkey, alone or with a JWT.

nats-py leaves this to the package ``nkeys``, which has no wheels; see decision 30. A seed is base32
of two bytes that say what it is for, 32 bytes of key and a CRC-16; a public key is base32 of one
such byte, 32 bytes and a CRC-16 (https://github.com/nats-io/nkeys).
"""

import base64
import binascii
import re
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED = 18 << 3
"""The kind of a seed: the letter S."""

USER = 20 << 3
"""The kind of a user's key: the letter U."""

_CHECKSUM = 2
_PART = rb"-{3,}BEGIN %s-{3,}\s+(\S+)\s+-{3,}END %s-{3,}"


class Credentials(NamedTuple):
    """A user's key, and what an account says of it. The repr shows none of it."""

    key: Ed25519PrivateKey
    jwt: bytes | None = None
    """The account's signed statement; None if the server knows the key itself."""

    def __repr__(self) -> str:
        return f"<Credentials {'with a JWT' if self.jwt else 'of an nkey'}>"

    @property
    def public_key(self) -> str:
        """The key as a server's configuration names it: ``U…``."""
        data = bytes([USER]) + self.key.public_key().public_bytes_raw()
        return base64.b32encode(data + _checksum(data)).decode()

    def sign(self, nonce: str) -> bytes:
        """Return the signature of a server's challenge, in base64."""
        return base64.b64encode(self.key.sign(nonce.encode()))


def read_nkey(path: str) -> Credentials:
    """Return the credentials of a file that contains the seed of a user's nkey.

    Raises:
        OSError: It cannot be read.
        ValueError: It contains something else; the message shows nothing of it.
    """
    return Credentials(_parse_seed(Path(path).read_bytes().strip()))


def read_credentials(path: str) -> Credentials:
    """Return the credentials of a file with a user's JWT and seed, as ``nsc`` makes them.

    Raises:
        OSError: It cannot be read.
        ValueError: It contains something else; the message shows nothing of it.
    """
    contents = Path(path).read_bytes()
    return Credentials(
        _parse_seed(_part(contents, b"USER NKEY SEED")), jwt=_part(contents, b"NATS USER JWT")
    )


def _part(contents: bytes, name: bytes) -> bytes:
    found = re.search(_PART % (name, name), contents)
    if found is None:
        raise ValueError(f"it has no {name.decode()}")
    return found[1]


def _parse_seed(text: bytes) -> Ed25519PrivateKey:
    try:
        data = base64.b32decode(text + b"=" * (-len(text) % 8))
    except binascii.Error:
        raise ValueError("it has no seed of an nkey") from None
    kind = SEED | USER >> 5, (USER & 0b11111) << 3
    body, checksum = data[:-_CHECKSUM], data[-_CHECKSUM:]
    if len(body) != 2 + 32 or checksum != _checksum(body):
        raise ValueError("it has no seed of an nkey")
    if tuple(body[:2]) != kind:
        raise ValueError("its seed is not that of a user")
    return Ed25519PrivateKey.from_private_bytes(body[2:])


def _checksum(data: bytes) -> bytes:
    return binascii.crc_hqx(data, 0).to_bytes(_CHECKSUM, "little")
