"""What a handshake on Daphne costs, beside what it has to.

For each connection Autobahn formats all of its options with `pprint`, and colours a dozen names,
for debug messages. With its default verbosity Daphne directs them to nowhere; formatting them
takes a third of the handshake all the same.
"""

import functools
import sys
from typing import Any

FORMATTERS = {
    "autobahn.websocket.protocol": ("pformat", "hltype", "hlval"),
    "autobahn.twisted.websocket": ("hltype", "hlval"),
}
"""Modules of Autobahn, and their functions that only format debug messages."""


def _unformatted(*args: Any, **kwargs: Any) -> str:
    return ""


@functools.cache
def spare_debug_messages() -> None:
    """Have Autobahn format no more debug messages; call it only if nobody reads them."""
    for name, functions in FORMATTERS.items():
        module = sys.modules.get(name)
        for function in functions:
            if hasattr(module, function):
                setattr(module, function, _unformatted)
