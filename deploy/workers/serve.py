"""One of the processes: Daphne on a listening socket of its own that shares its port with others.

With SO_REUSEPORT, the kernel chooses a process for each new connection by a hash of its addresses
and ports, so all processes get about the same number. On a socket that all inherit, a connection
goes to whichever process wakes up first: docs/decisions/0031 has the figures.
"""

import functools
import os
import socket
import sys
from typing import Any

from daphne.cli import CommandLineInterface  # imported first: it chooses Twisted's reactor
from twisted.internet import tcp

create = tcp.Port.createInternetSocket


@functools.wraps(create)
def create_shared(port: tcp.Port) -> Any:
    """Return the socket that Twisted will bind, with the option for sharing the port."""
    listener = create(port)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return listener


if __name__ == "__main__":
    tcp.Port.createInternetSocket = create_shared
    address = ["-b", os.environ["HOST"], "-p", os.environ["PORT"]]
    sys.argv[1:] = [*address, "chatroom_project.asgi:application"]
    CommandLineInterface.entrypoint()
