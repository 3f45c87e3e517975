"""The broker: topics, subscriptions, bounded outboxes, history and statistics.

Standard library only. Nothing here knows Django, Channels or JSON: the encoder is passed in, and
the write pump of a connection empties the outbox.
"""
