"""Tests of a client's connection over an in-memory transport."""
