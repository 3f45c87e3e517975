"""A Daphne that nothing was installed in, and a certificate for the tests of TLS."""

import asyncio
import datetime as dt
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import twisted.internet
import twisted.web.http
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from daphne.http_protocol import HTTPFactory
from daphne.server import Server
from twisted.internet.asyncioreactor import AsyncioSelectorReactor

from pubsub.transport.daphne import foreign, handshake


@pytest.fixture(autouse=True)
def fresh_daphne(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every test find Daphne, and undo what it installs, as in a process of its own."""
    for of, name in (
        (HTTPFactory, "acceptableProtocols"),
        (Server, "create_application"),
        (Server, "handle_reply"),
        (Server, "kill_all_applications"),
        (Server, "application_checker"),
        (Server, "timeout_checker"),
    ):
        function = getattr(of, name)
        monkeypatch.setattr(of, name, getattr(function, "__wrapped__", function))
    original = vars(twisted.web.http.HTTPFactory)["protocol"]
    monkeypatch.setattr(HTTPFactory, "protocol", original)
    foreign.warn_once.cache_clear()
    handshake.spare_debug_messages.cache_clear()


@pytest.fixture
def reactor(monkeypatch: pytest.MonkeyPatch) -> Iterator[AsyncioSelectorReactor]:
    """A reactor with a loop of its own, which runs and stops as in a process of Daphne's."""
    loop = asyncio.new_event_loop()
    reactor = AsyncioSelectorReactor(loop)
    monkeypatch.setattr(twisted.internet, "reactor", reactor)
    monkeypatch.setitem(sys.modules, "twisted.internet.reactor", reactor)
    yield reactor
    for reader in [*reactor.removeAll(), *reactor._internalReaders]:
        reader.connectionLost(None)
    loop.close()


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Return the options of `running_daphne` for a server that ends TLS itself."""
    directory: Path = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (directory / "cert").write_bytes(certificate.public_bytes(pem))
    (directory / "key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    endpoint = f"ssl:0:interface=127.0.0.1:privateKey={directory}/key:certKey={directory}/cert"
    return {"endpoint": endpoint, "tls": context}
