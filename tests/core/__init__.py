"""Tests of the broker: no Django, no server, no event loop where none is needed."""
