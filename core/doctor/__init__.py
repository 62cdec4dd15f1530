"""Checks of the installation (`espalier doctor`)."""
