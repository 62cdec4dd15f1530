"""Which runs are compared: the current one, and those that a person has ticked (no Qt)."""

from collections.abc import Callable, Sequence

from core.comparison.compared_runs import ComparedRun
from gui.runs.run_results import Results


class ChosenRuns:
    """Keeps what was read of them.

    Args:
        ticked: folders from the last session.
        remember: keeps the ticked folders for the next one.
    """

    def __init__(self, ticked: Sequence[str], remember: Callable[[list[str]], None]):
        self.current = ""
        self._ticked, self._remember = list(ticked), remember
        self._read_runs: dict[str, ComparedRun] = {}

    @property
    def folders(self) -> list[str]:
        """The current run first, then the ticked ones in their order."""
        return list(dict.fromkeys([*([self.current] if self.current else []), *self._ticked]))

    def runs(self) -> list[ComparedRun]:
        """Those that are known by now and have something to compare."""
        read_runs = [self._read_runs[folder] for folder in self.folders if folder in self._read_runs]
        return [run for run in read_runs if run.reports or run.folder == self.current]

    def show_results(self, results: Results | None) -> None:
        """Make this the current run; who answered which image right follows when it is read."""
        self.current = str(results.run.folder) if results else ""
        if results is None:
            return
        previous = self._read_runs.get(self.current)
        fresh = results.compared
        if previous is not None and previous.reports == fresh.reports:
            fresh.images, fresh.right = previous.images, previous.right
        self.take([fresh])

    def take(self, runs: Sequence[ComparedRun]) -> None:
        """Keep these runs; those that are no longer compared are dropped."""
        read_runs = {**self._read_runs, **{run.folder: run for run in runs}}
        self._read_runs = {folder: read_runs[folder] for folder in self.folders if folder in read_runs}

    def tick(self, folder: str, on: bool) -> None:
        """Compare a run, or no longer."""
        others = [each for each in self.folders if each != folder]
        self.choose([*others, folder] if on else others)

    def choose(self, folders: Sequence[str]) -> None:
        """Compare exactly these."""
        self.current = self.current if self.current in folders else ""
        self._ticked = [folder for folder in folders if folder != self.current]
        self._remember(self._ticked)
