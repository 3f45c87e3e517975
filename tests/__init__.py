"""The tests, laid out as the packages they test; `live` runs real server processes."""
