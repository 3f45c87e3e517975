"""What a handshake on Daphne costs beyond what is necessary.

For each connection Autobahn formats all of its options with `pprint`, and colours a dozen names,
for debug messages. With its default verbosity Daphne discards them, but formatting them takes a
third of the handshake all the same.
"""

import functools
from typing import Any

from pubsub.transport.daphne import foreign


def _unformatted(*args: Any, **kwargs: Any) -> str:
    return ""


@functools.cache
def spare_debug_messages() -> None:
    """Stop Autobahn from formatting debug messages; call it only if nobody reads them."""
    if foreign.missing(foreign.DEBUG_MESSAGES):
        return
    for module, functions in foreign.DEBUG_MESSAGES.items():
        for function in functions:
            setattr(foreign.find(module), function, _unformatted)
