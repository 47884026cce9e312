"""For all tests: property tests repeat exactly and are not timed, so that a loaded machine fails nothing."""

from hypothesis import settings

settings.register_profile("twin", deadline=None, derandomize=True)
settings.load_profile("twin")
