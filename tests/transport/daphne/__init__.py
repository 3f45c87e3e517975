"""Tests of the Daphne transport: a real Daphne and real sockets in the test's event loop."""
