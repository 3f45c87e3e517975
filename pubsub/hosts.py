"""Host names that a request may use: the local ones, and those in ``ALLOWED_HOSTS``."""

import socket
from ipaddress import ip_address

from django.conf import settings
from django.http.request import split_domain_port, validate_host


class AnyAddress(str):
    """An entry of ``ALLOWED_HOSTS`` that equals every IP address.

    A page whose host is an IP address cannot have been rebound: DNS rebinding needs a name. Django
    compares each entry in lower case with the host of the request, which has brackets around an
    IPv6 address.
    """

    __slots__ = ()

    def lower(self) -> "AnyAddress":
        """Return the entry itself, which has no upper case."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyAddress) or (isinstance(other, str) and is_address(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, in brackets if it is an IPv6 address."""
    is_bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = ip_address(host[1:-1] if is_bracketed else host)
    except ValueError:
        return False
    return is_bracketed == (address.version == 6)


def local_hosts() -> list[str]:
    """Return the hosts under which a machine reaches itself, or is reached in its own network.

    These are ``localhost`` and its subdomains, every IP address, and the machine's own name, alone
    and in ``.local`` (RFC 6762 §3). No name that others control is among them. The result is for
    ``ALLOWED_HOSTS``. It does not ask DNS, which could delay the start of the server.
    """
    name = socket.gethostname().lower()
    own = [name, f"{name.partition('.')[0]}.local"] if name else []
    return [".localhost", AnyAddress("any IP address"), *own]


def is_allowed_host(host: str) -> bool:
    """Return whether the ``Host`` of a request is in ``ALLOWED_HOSTS``, as Django decides it."""
    allowed = settings.ALLOWED_HOSTS
    if settings.DEBUG and not allowed:
        allowed = [".localhost", "127.0.0.1", "[::1]"]
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)
