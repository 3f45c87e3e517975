"""The settings of a relay."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from pubsub import conf
from pubsub.relay.configuration import RelayConfiguration, RelayServer, parse_servers
from tests.live.certificate import write_certificate


def test_no_relay_by_default() -> None:
    """Without the setting there is no relay, and nothing is checked or read."""
    assert not conf.relay_from({}).relay


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("nats://host", RelayServer("nats", "host", 4222)),
        ("tls://host:4443/", RelayServer("tls", "host", 4443)),
        ("nats://[::1]:5", RelayServer("nats", "::1", 5)),
        ("nats://u:p@host", RelayServer("nats", "host", 4222, "u", "p")),
        ("nats://u%40x:a%3Ab%2Fc@host", RelayServer("nats", "host", 4222, "u@x", "a:b/c")),
        ("nats://t%2Bk@host", RelayServer("nats", "host", 4222, token="t+k")),
    ],
)
def test_urls(url: str, server: RelayServer) -> None:
    """A URL has a scheme, a host, perhaps a port and credentials, which may be encoded."""
    assert parse_servers(url) == [server]


def test_several_urls(tmp_path: Path) -> None:
    """There may be several URLs, separated by commas, or in lines of a file."""
    both = [RelayServer("nats", "a", 4222), RelayServer("nats", "b", 4222)]
    assert RelayConfiguration(relay="nats://a, nats://b").servers() == both
    path = tmp_path / "urls"
    path.write_text("nats://a\nnats://b\n")
    assert conf.relay_from({"RELAY": str(path)}).servers() == both


def test_address_has_no_credentials() -> None:
    """The address of a server, which the log shows, has no credentials."""
    (server,) = parse_servers("nats://name:secret@[::1]:5")
    assert server.address == "nats://[::1]:5"


@pytest.mark.parametrize(
    "url",
    [
        "http://secret@host",
        "nats://secret@",
        "nats://secret@host:port",
        "nats://secret@host/path",
        "nats://secret@host?query",
        "nats://a,,nats://secret@b",
        "nats://a,secret",
    ],
)
def test_bad_urls(url: str) -> None:
    """A value that is no URL of NATS is refused, and not shown."""
    with pytest.raises(ImproperlyConfigured, match=r"^CHATROOM_RELAY must be URLs") as error:
        conf.relay_from({"RELAY": url})
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"RELAY": "{folder}/none"}, "RELAY names a file that cannot be read"),
        ({"RELAY": "{folder}/text"}, "RELAY names a file that does not contain URLs of NATS"),
        (
            {"RELAY_CREDENTIALS": "{folder}/none"},
            r"RELAY_CREDENTIALS cannot be read \(No such file or directory\)",
        ),
        (
            {"RELAY_NKEY": "{folder}/none"},
            r"RELAY_NKEY cannot be read \(No such file or directory\)",
        ),
        (
            {"RELAY_CREDENTIALS": "{folder}/text"},
            "RELAY_CREDENTIALS cannot be used: it has no USER NKEY SEED",
        ),
        ({"RELAY_NKEY": "{folder}/text"}, "RELAY_NKEY cannot be used: it has no seed of an nkey"),
        (
            {"RELAY_NKEY": "{folder}/text", "RELAY_CREDENTIALS": "{folder}/text"},
            "RELAY_NKEY must be empty, because there is RELAY_CREDENTIALS",
        ),
        ({"RELAY_TLS_CA": "{folder}/none"}, r"RELAY_TLS_CA cannot be used \(.*\)"),
        ({"RELAY_TLS_CA": "{folder}/text"}, r"RELAY_TLS_CA cannot be used \(.*\)"),
        (
            {"RELAY_TLS_CERT": "{folder}/text", "RELAY_TLS_KEY": "{folder}/text"},
            r"RELAY_TLS_CERT cannot be used \(.*\)",
        ),
        (
            {"RELAY_TLS_KEY": "{folder}/text"},
            "RELAY_TLS_KEY must be set if RELAY_TLS_CERT is, and only then",
        ),
    ],
)
def test_bad_files(tmp_path: Path, settings: dict[str, str], complaint: str) -> None:
    """A file that cannot be used stops the start with one line, without its contents."""
    (tmp_path / "text").write_text("a secret\n")
    values = {name: value.format(folder=tmp_path) for name, value in settings.items()}
    with pytest.raises(ImproperlyConfigured, match=f"^CHATROOM_{complaint}$") as error:
        conf.relay_from({"RELAY": "nats://host", **values})
    assert "secret" not in str(error.value)


def test_certificate(tmp_path: Path) -> None:
    """A certificate with its key, and an authority, are accepted."""
    certificate, key = map(str, write_certificate(tmp_path))
    settings = {"TLS_CA": certificate, "TLS_CERT": certificate, "TLS_KEY": key}
    values: dict[str, Any] = {f"RELAY_{name}": value for name, value in settings.items()}
    assert conf.relay_from({"RELAY": "tls://host", **values}).relay_tls_key == key


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without nats-py a relay stops the start with a line that names the extra."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImproperlyConfigured, match=r"^CHATROOM_RELAY needs .*chatroom\[cluster\]"):
        conf.relay_from({"RELAY": "nats://host"})
