"""The settings that say how processes reach each other."""

import re
import ssl
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from pubsub.core.configuration import check_fields, count, setting
from pubsub.relay.credentials import Credentials, read_credentials, read_nkey

DEFAULT_PORT = 4222

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Storage(StrEnum):
    """Where NATS keeps topics and history."""

    MEMORY = "memory"
    FILE = "file"


class RelayServer(NamedTuple):
    """A NATS server, and the credentials from its URL. Only `address` may be shown."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = None
    token: str | None = None
    certified: str | None = None
    """The host in its certificate, if that is another."""

    @property
    def address(self) -> str:
        """The URL without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_servers(urls: str) -> list[RelayServer]:
    """Return the servers that URLs name, which commas or line breaks separate.

    Raises:
        ValueError: One of them is not the URL of a NATS server. The message contains no URL.
    """
    return [_parse(url) for url in re.split(r"[,\n]", urls.strip())]


def _parse(url: str) -> RelayServer:
    parts = urlsplit(url.strip())
    if (
        parts.scheme not in ("nats", "tls")
        or not parts.hostname
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise ValueError("a URL is not that of a NATS server")
    server = RelayServer(parts.scheme, parts.hostname, parts.port or DEFAULT_PORT)
    name = unquote(parts.username or "")
    if parts.password is not None:
        return server._replace(user=name, password=unquote(parts.password))
    return server._replace(token=name or None)


def _is_path(value: str) -> bool:
    return "://" not in value


def _is_relay(value: str) -> bool:
    try:
        return not value or _is_path(value) or bool(parse_servers(value))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConfiguration:
    """How the processes of one room reach each other.

    Raises:
        ValueError: A value is invalid; the message starts with the name of the field and never
            contains a secret.
    """

    relay: str = setting(
        "",
        "URLs such as nats://host:4222 or tls://host:4222 separated by commas, or the path of a "
        "file with them",
        _is_relay,
        secret=True,
    )
    """The NATS servers; empty for a room of one process."""

    relay_name: str = setting(
        "chatroom",
        "1 to 64 letters, digits, - and _",
        lambda value: _NAME.fullmatch(value) is not None,
    )
    """The name of the room, which all of its processes have in common."""

    relay_credentials: str = setting("", "the path of a credentials file of NATS")
    """A file with a JWT and a seed, as ``nsc`` makes them."""

    relay_nkey: str = setting("", "the path of a file with the seed of an nkey")
    """The seed with which this process proves who it is."""

    relay_tls_ca: str = setting("", "the path of a file with certificates in PEM format")
    """The authorities that may vouch for NATS; empty for those of the system."""

    relay_tls_cert: str = setting("", "the path of a certificate in PEM format")
    """The certificate of this process."""

    relay_tls_key: str = setting("", "the path of a private key in PEM format")
    """The key of the certificate."""

    relay_storage: Storage = setting(Storage.MEMORY, "memory or file")  # noqa: RUF009  # a field
    """Where NATS keeps topics and history."""

    relay_replicas: int = setting(1, "a whole number from 1 to 5", lambda value: 1 <= value <= 5)
    """Servers of a NATS cluster that each keep a copy of topics and history."""

    relay_buffer_bytes: int = count(8 * 1024 * 1024)
    """Bytes that may wait to be sent to NATS; messages beyond them are dropped."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.relay_credentials and self.relay_nkey:
            raise ValueError("relay_nkey must be empty, because there is RELAY_CREDENTIALS")
        if bool(self.relay_tls_cert) != bool(self.relay_tls_key):
            raise ValueError("relay_tls_key must be set if RELAY_TLS_CERT is, and only then")

    def servers(self) -> list[RelayServer]:
        """Return the servers, read from the file if the setting names one.

        Raises:
            ValueError: The file cannot be read, or contains something else.
        """
        urls = self.relay
        if _is_path(urls):
            try:
                urls = Path(urls).read_text()
            except (OSError, UnicodeDecodeError):
                raise ValueError("relay names a file that cannot be read") from None
        try:
            return parse_servers(urls)
        except ValueError:
            raise ValueError("relay names a file that does not contain URLs of NATS") from None

    def tls(self) -> ssl.SSLContext:
        """Return the context for connections with TLS.

        Raises:
            ValueError: A file cannot be used.
        """
        try:
            context = ssl.create_default_context(cafile=self.relay_tls_ca or None)
        except OSError as error:
            raise ValueError(f"relay_tls_ca cannot be used ({_cause(error)})") from None
        if self.relay_tls_cert:
            try:
                context.load_cert_chain(self.relay_tls_cert, self.relay_tls_key, password="")
            except OSError as error:
                raise ValueError(f"relay_tls_cert cannot be used ({_cause(error)})") from None
        return context

    def credentials(self) -> Credentials | None:
        """Return the key of this process, read from its file; None if no setting names one.

        Raises:
            ValueError: The file cannot be used; the message shows nothing of it.
        """
        name = "relay_credentials" if self.relay_credentials else "relay_nkey"
        try:
            if self.relay_credentials:
                return read_credentials(self.relay_credentials)
            return read_nkey(self.relay_nkey) if self.relay_nkey else None
        except OSError as error:
            raise ValueError(f"{name} cannot be read ({_cause(error)})") from None
        except ValueError as error:
            raise ValueError(f"{name} cannot be used: {error}") from None

    def check_files(self) -> None:
        """Check all files that the settings name.

        Raises:
            ValueError: One cannot be used; the message starts with the name of the field.
        """
        self.servers()
        self.tls()
        self.credentials()


def _cause(error: OSError) -> str:
    return error.strerror or type(error).__name__
