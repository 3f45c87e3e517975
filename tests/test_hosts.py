"""The hosts that are allowed unless a project names its own."""

import copy
import socket
from contextlib import nullcontext

import pytest
from django.core.exceptions import DisallowedHost
from django.test import RequestFactory, override_settings

from pubsub.hosts import is_address, is_allowed_host, local_hosts


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("localhost:9090", True),
        ("LOCALHOST.", True),
        ("chat.localhost:8000", True),
        ("127.0.0.1:9090", True),
        ("203.0.113.7", True),
        ("[::1]:9090", True),
        ("[2001:db8::7]", True),
        (socket.gethostname(), True),
        (f"{socket.gethostname().partition('.')[0]}.local:9090", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("evillocalhost", False),
        ("127.0.0.1.evil.example", False),
        ("127.1", False),
        ("2130706433", False),
        ("::1", False),
        ("[127.0.0.1]", False),
        ("[::1", False),
        ("any IP address", False),
        ("*", False),
        ("", False),
        ("localhost,evil.example", False),
        ("user@localhost", False),
    ],
)
def test_local_hosts(host: str, allowed: bool) -> None:
    """Only names that nobody else controls are local, for us and for Django itself."""
    with override_settings(ALLOWED_HOSTS=local_hosts()):
        assert is_allowed_host(host) is allowed
        request = RequestFactory().get("/", headers={"host": host})
        with nullcontext() if allowed else pytest.raises(DisallowedHost):
            assert request.get_host() == host


def test_entry_survives_what_settings_go_through() -> None:
    """The entry for all addresses can be copied, and is not the entry for all hosts."""
    hosts = copy.deepcopy(local_hosts())
    assert "*" not in hosts
    with override_settings(ALLOWED_HOSTS=[*hosts, "testserver"]):
        assert is_allowed_host("192.0.2.1")
        assert not is_allowed_host("evil.example")
    entry = hosts[1]
    assert entry == "192.0.2.1"
    assert entry == copy.copy(entry)
    assert entry != "evil.example"
    assert entry != 7
    assert hash(entry) == hash("any IP address")


def test_hosts_of_debug_mode() -> None:
    """With DEBUG on and no ALLOWED_HOSTS, the hosts are those that Django allows then."""
    with override_settings(DEBUG=True, ALLOWED_HOSTS=[]):
        assert is_allowed_host("chat.localhost:8000")
        assert not is_allowed_host("192.0.2.1")


def test_address_in_brackets() -> None:
    """Only an IPv6 address has brackets in a URL (RFC 3986 §3.2.2)."""
    assert is_address("[::1]")
    assert not is_address("[192.0.2.1]")
