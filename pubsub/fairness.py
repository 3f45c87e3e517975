"""Every budget that keeps one client from holding up the others, in one unit.

The unit is the time that one delivery takes on the event loop, about 0.2 µs: a publication to 100
subscribers costs 100. A client is charged for the work that it causes. When its budget is spent, it
waits for one turn of the event loop, in which the other clients are served.
"""

BUDGET = 25_000
"""Work that one client may cause in one turn of the event loop: about 5 ms."""

COMMAND = 50
"""A command without its deliveries: about 10 µs to decode, execute and acknowledge."""

OTHER_FRAME = 60
"""A control frame, or one fragment of a message: about 12 µs in wsproto's parser."""

REPLAYED_EVENT = 20
"""A replayed event: about 4 µs to look it up and write it for this client alone."""

PASSED_EVENT = 1
"""An event that a replay leaves out, because its reader has published it: about 0.15 µs."""

HISTORY_BYTES = 200
"""Bytes of a history that cost one unit: they are copied, and written for one client alone."""

RELAYED_EVENT = 15
"""An event of another process without its deliveries: about 3 µs to decode it."""

REJECTED_BYTES = 4
"""Bytes of a rejected message that cost one unit; building the error text needs a second, slower
parse."""

INFLATED_BYTES = 4
"""Bytes inflated from a compressed message that cost one unit. Without compression, the time that
the network takes for them holds a client back."""

TOKEN = 500
"""A token: about 100 µs to verify its signature and compile its patterns."""

PIPELINED = 64
"""Publications of one client, or of one batch over REST, that may be on their way to logs at the
same time. This one and the next two are not in the unit."""

PIPELINED_IN_ALL = 2048
"""Publications of all clients of a process that may be on their way. If there are more, each client
has one at a time: NATS confirms some 10,000 a second, and each must be confirmed in 4 seconds."""

PIPELINED_BYTES = 64 * 1024
"""Bytes of their payloads from which on the next one has to wait."""

BATCH_SLICE = 10_000
"""Work of one slice of a batch of publications over REST: about 2 ms. All batches and listings
together get one slice in each turn of the event loop."""

BATCH_ITEM = 25
"""One message of a batch without its deliveries: about 5 µs to decode and publish it."""

LISTING_SLICE = 5_000
"""Work of one slice of a listing over REST: about 1 ms. All readers of listings together get one
slice in each turn of the event loop."""

EXAMINED_ROW = 5
"""A row of a listing that is looked at: about 1 µs."""

LISTED_ROW = 15
"""A row that is listed, in addition: about 3 µs to take a snapshot and encode it."""

LISTED_SUBSCRIPTION = 2
"""One subscription in a listing of clients, in addition: about 0.4 µs."""

LISTED_MEMBER = 2
"""A member in an answer about presence: about 0.5 µs to encode it."""

TIMER_SLICE = 5_000
"""Work of one slice of what a shared timer is due to do: about 1 ms."""

CHUNK_BYTES = 16 * 1024
"""Bytes read from a socket at a time.

Even a chunk of the shortest messages is parsed in a few milliseconds."""

TICK_SLICE = 256
"""Sockets that are written in one slice: about 2 ms, mostly system calls.

This one is counted in sockets and charged to no client, because the publication was charged when
it was accepted. The event loop reads sockets between two slices."""
