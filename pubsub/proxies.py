"""What trusted reverse proxies say about a request: the client's address and scheme."""

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any


class TrustedProxies:
    """Addresses and networks whose ``X-Forwarded-For`` and ``X-Forwarded-Proto`` are believed.

    Args:
        networks: IP addresses and networks, such as ``10.0.0.0/8``; ``unix`` sockets count as
            trusted if there are any.

    Raises:
        ValueError: One of them is neither.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(network, strict=False) for network in networks]

    def address_of(self, scope: Mapping[str, Any]) -> str:
        """Return the IP address of the client of an ASGI scope; an empty string if unknown.

        Behind a trusted proxy it is the rightmost address in ``X-Forwarded-For`` that is not
        trusted itself, because clients can send everything to the left of it.
        """
        client = scope.get("client")
        peer = str(client[0]) if client else ""
        if not self.trusts(peer):
            return peer
        address = peer
        for forwarded in reversed(_values(scope, b"x-forwarded-for")):
            parsed = _parsed(forwarded)
            if parsed is None:
                return address
            address = str(parsed)
            if not self.trusts(address):
                return address
        return address

    def is_secure(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the client of an ASGI scope uses TLS, as far as the server can know."""
        client = scope.get("client")
        if self.trusts(str(client[0]) if client else ""):
            forwarded = _values(scope, b"x-forwarded-proto")
            if forwarded:
                return forwarded[-1].lower() in ("https", "wss")
        return scope.get("scheme") in ("https", "wss")

    def trusts(self, address: str) -> bool:
        """Return whether an address is a trusted proxy's; an empty one is a Unix domain socket."""
        if not self._networks:
            return False
        parsed = _parsed(address)
        if parsed is None:
            return not address  # a Unix domain socket has no address
        return any(parsed in network for network in self._networks)


def network_of(address: str) -> str:
    """Return what limits count as one address.

    That is an IPv4 address itself, also if it is mapped to IPv6, and the /64 network of an IPv6
    address, because a client can use every address in it (RFC 6177 §2). Anything else, such as the
    empty string for an unknown address, is returned unchanged.
    """
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)


def _values(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """Return the elements of all headers of a name, in their order (RFC 9110 §5.3)."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [element.strip() for element in ",".join(lines).split(",") if element.strip()]


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, also if it has a port; an IPv4 address that is mapped to IPv6 as IPv4."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
