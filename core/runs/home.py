"""The folder that holds a person's runs, caches and index."""

from dataclasses import dataclass
from pathlib import Path

from core.machine.home_folder import home_folder


@dataclass(frozen=True, slots=True)
class Home:
    """Where a person's runs and caches are kept; `core.machine.home_folder` says where by default."""

    folder: Path

    @classmethod
    def default(cls) -> "Home":
        return cls(home_folder())

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
