"""Packages that Espalier works without, and how each is had."""

import sys
from importlib.util import find_spec


def not_packaged(label: str) -> str:
    """That the installed program does not carry something; empty where Espalier runs from its sources."""
    if getattr(sys, "frozen", False):
        return f"{label} is not part of the installed program; run Espalier from its sources."
    return ""


def reason_absent(label: str, module: str, requirement: str) -> str:
    """That a module is not there and what brings it, in words; empty where it is there.

    Args:
        label: for people. requirement: what pip installs: a package, or one of Espalier's extras.
    """
    if find_spec(module):
        return ""
    return not_packaged(label) or f"{label} is not installed (pip install {requirement})."


def extra(name: str) -> str:
    """One of Espalier's extras, as pip takes it."""
    return f'"espalier[{name}]"'
