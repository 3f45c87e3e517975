"""Removes an avoidable cost of handshakes on Daphne.

For each connection, Autobahn formats all of its options with `pprint`, and adds colours to a dozen
names, for debug messages. At Daphne's default verbosity these messages are discarded, but
formatting them still takes a third of the time of a handshake.
"""

import functools
from typing import Any

from pubsub.transport.daphne import foreign


def _unformatted(*args: Any, **kwargs: Any) -> str:
    return ""


@functools.cache
def spare_debug_messages() -> None:
    """Stop Autobahn from formatting debug messages. Call this only if they are discarded."""
    if foreign.missing(foreign.DEBUG_MESSAGES):
        return
    for module, functions in foreign.DEBUG_MESSAGES.items():
        for function in functions:
            setattr(foreign.find(module), function, _unformatted)
