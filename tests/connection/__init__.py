"""Tests of one client's connection, over a transport in memory."""
