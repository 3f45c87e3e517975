"""Tests with a NATS server and several server processes."""
