"""What the server writes to its log: one line for each event, readable or as JSON.

`configuration` returns Django's setting ``LOGGING``. Everything that uses Python's `logging` then
has the same form: the chat room, Daphne, Twisted, Django and warnings. The other functions log the
events of the chat room, through the logger ``pubsub.server``, with whatever configuration a project
has.

No payload, token or key reaches a line, and nothing that a client sends can forge one.
"""

from pubsub.logs.access import access
from pubsub.logs.config import capture, configuration, is_in_use
from pubsub.logs.events import (
    client_closed,
    client_connected,
    client_disconnected,
    refused,
    relay_connected,
    relay_lost,
    relay_refused,
    relay_too_small,
    relay_unreachable,
    server_drained,
    server_started,
    server_stopped,
    slow_consumer,
    twisted_error,
)

__all__ = [
    "access",
    "capture",
    "client_closed",
    "client_connected",
    "client_disconnected",
    "configuration",
    "is_in_use",
    "refused",
    "relay_connected",
    "relay_lost",
    "relay_refused",
    "relay_too_small",
    "relay_unreachable",
    "server_drained",
    "server_started",
    "server_stopped",
    "slow_consumer",
    "twisted_error",
]
