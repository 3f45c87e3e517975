"""The load generator: a process of its own that keeps a server busy and measures what it does.

It works on raw sockets and counts bytes. All events of a run have the same size, so bytes are
deliveries, and counting them costs so little that the generator is not what is measured. Where
connections are lost (`jitter`, `avalanche`) it parses frames, because the number in each message
tells which ones are missing.
"""
