"""Every test here may ask for a home that an earlier version left."""

from home_before import before, same_machine  # noqa: F401
