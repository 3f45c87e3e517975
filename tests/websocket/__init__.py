"""Tests of the WebSocket protocol, without a socket."""
