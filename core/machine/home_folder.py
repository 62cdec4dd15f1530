"""Where a person's runs, caches and environments are kept: the one rule for it."""

import os
from pathlib import Path

import platformdirs

from core.machine.site_policy import site_policy


def home_folder() -> Path:
    """`ESPALIER_HOME`, else what the machine's administrator decided (`core.machine.site_policy`), else the
    platform's folder for application data."""
    chosen = os.environ.get("ESPALIER_HOME")
    if chosen:
        return Path(chosen)
    usual = platformdirs.user_data_dir("Espalier", appauthor=False)
    return site_policy().home() or Path(usual)
