"""Tests of the REST endpoints' parts, without a server."""
