"""The benchmark: speed as a ratio to something else in the same run, never as a bare number."""
