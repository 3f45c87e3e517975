"""Tests of the transports and of their timeouts."""
