"""Tests of what carries bytes to a client, and of what watches over it."""
