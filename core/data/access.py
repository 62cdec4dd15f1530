"""The arguments for opening a data set, in this process or, as plain data, in a child process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.common.control import RunControl
from core.data.settings import DataSettings

if TYPE_CHECKING:
    from core.data.image_data import ImageData


@dataclass(frozen=True, slots=True)
class DataAccess:
    """A data set and where its parts lie.

    Attributes:
        cache: folder of decoded images. base: what a relative path starts from; None: the current folder.
        threads: that who works on it may compute with; 0 leaves it to the library.
    """

    settings: DataSettings
    cache: Path
    base: Path | None = None
    threads: int = 0

    def open(
        self,
        control: RunControl | None = None,
        on_progress: Callable[[float, str], None] | None = None,
    ) -> "ImageData":
        """The data set; errors as of `core.data.store.open_data`."""
        from core.data.store import open_data

        return open_data(self.settings, self.cache, self.base, control, on_progress)

    def as_plain(self) -> dict[str, Any]:
        """As arguments of a job: data, data_cache, base, threads."""
        return {
            "data": self.settings.model_dump(mode="json"), "data_cache": str(self.cache),
            "base": str(self.base) if self.base is not None else None, "threads": self.threads,
        }  # fmt: skip

    @classmethod
    def from_plain(cls, arguments: Mapping[str, Any]) -> "DataAccess":
        """From a job's arguments; others among them are passed over."""
        base = arguments.get("base")
        return cls(
            DataSettings.model_validate(arguments["data"]), Path(arguments["data_cache"]),
            Path(base) if base else None, int(arguments.get("threads") or 0),
        )  # fmt: skip
