"""The arguments for opening a data set, in this process or, as plain data, in a child process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.common.control import RunControl
from core.data.image_data import Opened
from core.data.settings import DataSettings

if TYPE_CHECKING:
    from core.data.image_data import ImageData


@dataclass(frozen=True, slots=True)
class DataAccess:
    """A data set and where its parts lie.

    Attributes:
        cache: folder of decoded images. base: what a relative path starts from; None: the current folder.
        threads: that who works on it may compute with; 0 leaves it to the library.
        opened: what it was when a run opened it; only those images are given then. None: as it is now.
    """

    settings: DataSettings
    cache: Path
    base: Path | None = None
    threads: int = 0
    opened: Opened | None = None

    def open(
        self,
        control: RunControl | None = None,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> "ImageData":
        """The data set; errors as of `core.data.store.open_data` and `open_again`."""
        from core.data.store import open_again, open_data

        if self.opened is not None:
            return open_again(self.settings, self.cache, self.opened, self.base)
        return open_data(self.settings, self.cache, self.base, control, on_progress)

    def as_plain(self) -> dict[str, Any]:
        """As arguments of a job: data, data_cache, base, threads, opened."""
        return {
            "data": self.settings.model_dump(mode="json"), "data_cache": str(self.cache),
            "base": str(self.base) if self.base is not None else None, "threads": self.threads,
            "opened": self.opened.as_plain() if self.opened is not None else None,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, arguments: Mapping[str, Any]) -> "DataAccess":
        """From a job's arguments; others among them are passed over."""
        base, opened = arguments.get("base"), arguments.get("opened")
        return cls(
            DataSettings.model_validate(arguments["data"]), Path(arguments["data_cache"]),
            Path(base) if base else None, int(arguments.get("threads") or 0),
            Opened.from_plain(opened) if opened else None,
        )  # fmt: skip
