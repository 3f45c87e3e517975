"""Every budget that keeps one client from holding up the others, in one unit.

The unit is the time that one delivery costs the event loop, about 0.2 µs: a publication to 100
subscribers costs 100. What a client causes is charged to it as it happens; when its budget is
spent, it waits for a turn of the event loop, in which everyone else is served.
"""

BUDGET = 25_000
"""What one client may cause at a stretch: about 5 ms."""

COMMAND = 50
"""A command, beside its deliveries: about 10 µs to decode, execute and acknowledge."""

OTHER_FRAME = 60
"""A control frame, or one fragment of a message: about 12 µs in the library's parser."""

REPLAYED_EVENT = 20
"""A past event: it is looked up, joined and written for this client alone, about 4 µs."""

REJECTED_BYTES = 4
"""Bytes of a rejected message that cost one unit; building the error text needs a second, slower
parse."""

CHUNK_BYTES = 16 * 1024
"""Bytes that are read from a socket at a time.

Few enough that parsing a chunk of the shortest messages takes a few milliseconds."""

TICK_SLICE = 256
"""Sockets that are written to at a stretch: about 2 ms, mostly system calls.

The odd one out, as it is no client's own: this is the end of a publication that was charged when
it was made. Sockets are read between two slices."""
