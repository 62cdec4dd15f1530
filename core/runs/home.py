"""The folder that holds a person's runs, caches and index."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from core.machine.site_policy import site_policy


@dataclass(frozen=True, slots=True)
class Home:
    """Where a person's runs and caches are kept.

    `ESPALIER_HOME`, else what the machine's administrator decided (`core.machine.site_policy`), else the
    platform's folder for application data.
    """

    folder: Path

    @classmethod
    def default(cls) -> "Home":
        chosen = os.environ.get("ESPALIER_HOME")
        if chosen:
            return cls(Path(chosen))
        usual = platformdirs.user_data_dir("Espalier", appauthor=False)
        return cls(site_policy().home() or Path(usual))

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def data(self) -> Path:
        return self.cache / "data"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def index(self) -> Path:
        return self.folder / "index.sqlite3"
