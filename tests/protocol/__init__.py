"""Tests of the contract as pure functions."""
