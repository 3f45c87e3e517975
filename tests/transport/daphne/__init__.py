"""Tests of the transport for Daphne, with a real Daphne and real sockets in the test's own loop."""
