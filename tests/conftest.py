"""Settings for all tests."""

from hypothesis import settings

# Use the same examples every time, so that a failure can be reproduced.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")
