"""Removes an avoidable cost of handshakes on Daphne.

For each connection, Autobahn formats all of its options with `pprint`, and adds colours to a dozen
names, for debug messages. At Daphne's default verbosity these messages are discarded, but
formatting them still takes a third of the time of a handshake.
"""

import functools
import sys
from typing import Any

FORMATTERS = {
    "autobahn.websocket.protocol": ("pformat", "hltype", "hlval"),
    "autobahn.twisted.websocket": ("hltype", "hlval"),
}
"""Modules of Autobahn, with their functions that are only used to format debug messages."""


def _unformatted(*args: Any, **kwargs: Any) -> str:
    return ""


@functools.cache
def spare_debug_messages() -> None:
    """Stop Autobahn from formatting debug messages. Call this only if they are discarded."""
    for name, functions in FORMATTERS.items():
        module = sys.modules.get(name)
        for function in functions:
            if hasattr(module, function):
                setattr(module, function, _unformatted)
