"""How a process proves to NATS who it is, and that no secret is shown when it fails."""

import base64
import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nkeys
import pytest

from pubsub.logs import events
from pubsub.relay.credentials import read_credentials, read_nkey
from tests.live.certificate import write_certificate
from tests.relay.accounts import new_key, with_operator
from tests.relay.server import NatsServer
from tests.relay.support import NatsNetwork, connected, poll, process

SECRET = "s3cret:/@ä"
ENCODED = "s3cret%3A%2F%40%C3%A4"


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    events.event_log.cache_clear()
    caplog.set_level(logging.DEBUG, "pubsub")


def network(server: NatsServer, userinfo: str = "", scheme: str = "nats", **settings: Any) -> Any:
    """Return a room whose relays connect with these credentials."""
    url = f"{scheme}://{userinfo}127.0.0.1:{server.port}"
    return NatsNetwork(server, relay=url, **settings)


async def works(room: NatsNetwork) -> None:
    """Connect, and use the registry."""
    async with connected(room) as one:
        assert await one.relay.create("key", b"1") == 1


async def refused(room: NatsNetwork, caplog: pytest.LogCaptureFixture) -> str:
    """Try to connect, without giving up; return the first reason in the log.

    There is a line for each reason; with TLS it depends on the moment which one is found.
    """
    async with process(room.relay()) as one:
        await poll(lambda: len(caplog.records))
        assert one.connections == 0
        assert not one.relay._connection._running.done()
    reasons = []
    for record in caplog.records:
        assert isinstance(record.msg, events.Event)
        assert record.msg.name == "relay_unreachable"
        reasons.append(str(record.msg.fields["reason"]))
    assert "s3cret" not in caplog.text
    return reasons[0]


@contextmanager
def protected(authorization: str) -> Iterator[NatsServer]:
    """Run a server with access control."""
    with NatsServer(f"authorization {{ {authorization} }}") as server:
        yield server


async def test_user_and_password(caplog: pytest.LogCaptureFixture) -> None:
    """A user and a password in the URL are used, whatever characters they have."""
    with protected(f'user: "a b", password: "{SECRET}"') as server:
        await works(network(server, f"a%20b:{ENCODED}@"))
        caplog.clear()
        reason = await refused(network(server, "a%20b:s3cret@"), caplog)
        assert "Authorization" in reason


async def test_token(caplog: pytest.LogCaptureFixture) -> None:
    """A token in the URL is used."""
    with protected(f'token: "{SECRET}"') as server:
        await works(network(server, f"{ENCODED}@"))
        caplog.clear()
        assert "Authorization" in await refused(network(server, "s3cret@"), caplog)


async def test_no_credentials(caplog: pytest.LogCaptureFixture) -> None:
    """Without credentials a server that wants some refuses."""
    with protected(f'token: "{SECRET}"') as server:
        assert "Authorization" in await refused(network(server), caplog)


async def test_url_in_a_file(tmp_path: Path) -> None:
    """A file may contain the URL with its credentials."""
    with protected(f'token: "{SECRET}"') as server:
        path = tmp_path / "url"
        path.write_text(f"nats://{ENCODED}@127.0.0.1:{server.port}\n")
        await works(NatsNetwork(server, relay=str(path)))


async def test_nkey(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The seed of an nkey in a file is used."""
    key, other = (new_key(nkeys.PREFIX_BYTE_USER) for _ in range(2))
    with protected(f"users: [{{ nkey: {key.public} }}]") as server:
        path = tmp_path / "seed"
        path.write_text(key.seed + "\n")
        await works(network(server, relay_nkey=str(path)))
        caplog.clear()
        path.write_text(other.seed)
        assert "Authorization" in await refused(network(server, relay_nkey=str(path)), caplog)
        assert other.seed not in caplog.text


async def test_bad_nkey(
    nats_server: NatsServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file without a seed is a reason in the log, and its contents are not shown."""
    path = tmp_path / "seed"
    path.write_text("s3cret")
    reason = await refused(network(nats_server, relay_nkey=str(path)), caplog)
    assert reason == "relay_nkey cannot be used: it has no seed of an nkey"


def test_key_is_that_of_the_seed(tmp_path: Path) -> None:
    """The public key and the signature are those that NATS' own package makes of the seed."""
    path = tmp_path / "seed"
    for _ in range(20):
        key = new_key(nkeys.PREFIX_BYTE_USER)
        path.write_text(key.seed)
        credentials = read_nkey(str(path))
        assert (credentials.public_key, credentials.jwt) == (key.public, None)
        expected = nkeys.from_seed(bytearray(key.seed.encode())).sign(b"nonce")
        assert base64.b64decode(credentials.sign("nonce")) == expected


SEED = nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_USER)


@pytest.mark.parametrize(
    ("contents", "complaint"),
    [
        (b"", "it has no seed of an nkey"),
        (SEED[:-8], "it has no seed of an nkey"),
        (SEED[:-1] + (b"A" if SEED[-1:] != b"A" else b"Q"), "it has no seed of an nkey"),
        (SEED.lower(), "it has no seed of an nkey"),
        (SEED + b"A", "it has no seed of an nkey"),
        (b"\xff" * 58, "it has no seed of an nkey"),
        (
            nkeys.encode_seed(secrets.token_bytes(32), nkeys.PREFIX_BYTE_ACCOUNT),
            "its seed is not that of a user",
        ),
    ],
    ids=["empty", "cut", "mistyped", "lower-case", "longer", "binary", "account"],
)
def test_unusable_seed(tmp_path: Path, contents: bytes, complaint: str) -> None:
    """What is not the seed of a user is refused, without showing it."""
    path = tmp_path / "seed"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        read_nkey(str(path))


@pytest.mark.parametrize("missing", ["NATS USER JWT", "USER NKEY SEED"])
def test_incomplete_credentials_file(tmp_path: Path, missing: str) -> None:
    """A credentials file without one of its parts is refused, without showing the other."""
    path = tmp_path / "chatroom.creds"
    path.write_text(with_operator()[1].replace(missing, "SOMETHING ELSE"))
    with pytest.raises(ValueError, match=f"^it has no {missing}$"):
        read_credentials(str(path))


def test_repr_shows_no_secret(tmp_path: Path) -> None:
    """The repr of credentials contains neither the key nor the JWT."""
    path = tmp_path / "chatroom.creds"
    path.write_text(with_operator()[1])
    assert repr(read_credentials(str(path))) == "<Credentials with a JWT>"


async def test_credentials_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A credentials file, with a user's JWT and seed, is used."""
    configuration, credentials = with_operator()
    path = tmp_path / "chatroom.creds"
    path.write_text(credentials)
    with NatsServer(configuration) as server:
        await works(network(server, relay_credentials=str(path)))
        caplog.clear()
        path.write_text(with_operator()[1])
        reason = await refused(network(server, relay_credentials=str(path)), caplog)
        assert "Authorization" in reason


def tls_server(folder: Path, more: str = "") -> NatsServer:
    """Return a server with a certificate that signs itself."""
    certificate, key = write_certificate(folder)
    return NatsServer(f'tls {{ cert_file: "{certificate}", key_file: "{key}" {more} }}')


async def test_tls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server with TLS is trusted if its authority is; whether the URL says so or not."""
    with tls_server(tmp_path) as server:
        authority = str(tmp_path / "certificate.pem")
        await works(network(server, scheme="tls", relay_tls_ca=authority))
        await works(network(server, relay_tls_ca=authority))
        caplog.clear()
        assert "CERTIFICATE_VERIFY_FAILED" in await refused(network(server), caplog)


async def test_tls_connection_is_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A connection with TLS that breaks off is made again, and only one line says so."""
    with tls_server(tmp_path) as server:
        room = network(server, scheme="tls", relay_tls_ca=str(tmp_path / "certificate.pem"))
        async with connected(room) as one:
            for end in (server.kill, server.stop):
                caplog.clear()
                before = one.connections
                end()
                await one.until(lambda: not one.relay.is_connected)
                server.start()
                await one.until(lambda before=before: one.connections > before)
                names = [
                    getattr(record.msg, "name", record.getMessage()) for record in caplog.records
                ]
                assert set(names) <= {"relay_lost", "relay_unreachable", "relay_connected"}
                assert names.count("relay_lost") == 1
            await one.relay.snapshot()


async def test_client_certificate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate of the process is shown to a server that wants one."""
    ca = tmp_path / "certificate.pem"
    with tls_server(tmp_path, f', ca_file: "{ca}", verify: true') as server:
        files = {"relay_tls_ca": str(ca), "relay_tls_cert": str(ca)}
        await works(network(server, **files, relay_tls_key=str(tmp_path / "key.pem")))
        caplog.clear()
        assert await refused(network(server, relay_tls_ca=str(ca)), caplog)


async def test_nothing_is_sent_in_the_clear(caplog: pytest.LogCaptureFixture) -> None:
    """If the URL asks for TLS and the server does not offer it, no password is sent."""
    with NatsServer(f'authorization {{ token: "{SECRET}" }}\ntrace: true') as server:
        reason = await refused(network(server, f"{ENCODED}@", scheme="tls"), caplog)
        assert reason == "the server does not offer TLS"
        assert "CONNECT" not in server.log()


async def test_tls_without_credentials(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is anything else: such a server is not used at all."""
    reason = await refused(network(nats_server, scheme="tls"), caplog)
    assert reason == "the server does not offer TLS"
