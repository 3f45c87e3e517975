"""Keys and signed accounts of NATS, as its tool ``nsc`` makes them."""

import base64
import hashlib
import json
import secrets
import time
from typing import Any, NamedTuple

import nkeys


class Key(NamedTuple):
    """A pair of keys: the seed is the secret."""

    seed: str
    public: str

    def sign(self, subject: "Key", name: str, **claims: Any) -> str:
        """Return a JWT that names the rights of another key."""
        body = {
            "iat": int(time.time()),
            "iss": self.public,
            "sub": subject.public,
            "name": name,
            "nats": {"version": 2, **claims},
        }
        body["jti"] = hashlib.sha256(json.dumps(body).encode()).hexdigest()
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        text = ".".join(_encode(json.dumps(part).encode()) for part in (header, body))
        signature = nkeys.from_seed(bytearray(self.seed.encode())).sign(text.encode())
        return f"{text}.{_encode(signature)}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def new_key(prefix: int) -> Key:
    """Return a new pair of keys of a kind, such as ``nkeys.PREFIX_BYTE_USER``."""
    seed = nkeys.encode_seed(secrets.token_bytes(32), prefix)
    return Key(bytes(seed).decode(), nkeys.from_seed(bytearray(seed)).public_key.decode())


def with_operator() -> tuple[str, str]:
    """Return a server's configuration with signed accounts, and the credentials of a user."""
    operator = new_key(nkeys.PREFIX_BYTE_OPERATOR)
    system, account = (new_key(nkeys.PREFIX_BYTE_ACCOUNT) for _ in range(2))
    user = new_key(nkeys.PREFIX_BYTE_USER)
    unlimited = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
    storage = ("mem_storage", "disk_storage", "streams", "consumer")
    limits = {"wildcards": True} | dict.fromkeys((*unlimited, *storage), -1)
    plain = {name: value for name, value in limits.items() if name not in storage}
    signed = {
        system: operator.sign(system, "system", type="account", limits=plain),
        account: operator.sign(account, "chatroom", type="account", limits=limits),
    }
    token = account.sign(user, "chatroom", type="user", subs=-1, data=-1, payload=-1)
    preload = "\n".join(f"  {key.public}: {jwt}" for key, jwt in signed.items())
    configuration = f"""
operator: {operator.sign(operator, "operator", type="operator")}
system_account: {system.public}
resolver: MEMORY
resolver_preload: {{
{preload}
}}
"""
    credentials = f"""-----BEGIN NATS USER JWT-----
{token}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{user.seed}
------END USER NKEY SEED------
"""
    return configuration, credentials
