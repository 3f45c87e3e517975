"""The broker: topics, subscriptions, bounded outboxes, history and statistics.

Standard library only. Nothing here knows Django, Channels or JSON: a frame is an immutable
piece of text that somebody else encoded, and an outbox is read by somebody else's write pump.
"""
