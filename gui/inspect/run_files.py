"""The files of runs, kept for a while once they were read."""

from pathlib import Path

from core.common.errors import EspalierError
from core.runs.run_folder import RunFolder
from core.runs.stage_files import StageFile, subjects_of
from gui.base.messages import Messages
from gui.base.result_cache import ResultCache


class RunFiles:
    """Reads the files of a run's finished stages; a folder that cannot be read is explained, and has none."""

    def __init__(self, messages: Messages):
        self._messages = messages
        self._cache = ResultCache({})

    def of(self, folder: Path) -> list[StageFile]:
        """The files of the run in `folder`."""
        files: list[StageFile] | None = self._cache.get(("run", folder))
        return files or self.read(folder)

    def read(self, folder: Path) -> list[StageFile]:
        """The same, as they are on the disk now."""
        try:
            files = subjects_of(RunFolder.open(folder))
        except EspalierError as error:
            self._messages.error(error)
            return []
        self._cache["run", folder] = files
        return files

    def forget(self, folder: Path) -> None:
        """Read this run again when it is asked for."""
        self._cache.forget(("run", folder))
