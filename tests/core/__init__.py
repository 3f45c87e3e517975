"""Tests of the broker, without Django, a server or, where possible, an event loop."""
