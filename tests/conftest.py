"""What holds for all tests."""

from hypothesis import settings

# The same examples every time: a run that fails can be repeated, and one that passes stays so.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")
