"""Long work of the settings: adding up used space, clearing away, downloads."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.cluster.machines import look_at_machines
from core.common.control import RunControl
from core.machine.child import Child
from core.runs.home import Home
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Failure, Say, Worker


class SettingsJobs(QObject):
    """Owns the workers; the pages show what it says, and may be closed meanwhile.

    Signals:
        measured: `core.runs.storage.StorageUse` of every kind.
        cleared: the id of a kind and the bytes that became free.
        weights_found: ImageNet weights as `core.models.fetching` lists them.
        progress: share 0…1 and a sentence of the download under way.
        downloaded: id and path of what was fetched.
        machines_found: of each scheduler what `core.cluster.machines.look_at_machines` says.
        changed: a worker began or ended.
    """

    measured = Signal(list)
    cleared = Signal(str, object)
    weights_found = Signal(list)
    progress = Signal(float, str)
    downloaded = Signal(str, str)
    machines_found = Signal(list)
    changed = Signal()

    def __init__(self, home: Home, messages: Messages, parent: QObject | None = None):
        super().__init__(parent)
        self.home = home
        self.storage, self.downloads, self.lister = Worker(self), Worker(self), Worker(self)
        self.machines = Worker(self)
        self.machines.completed.connect(lambda found: self.machines_found.emit(found["clusters"]))
        self.storage.completed.connect(self._storage_done)
        self.lister.completed.connect(lambda listed: self.weights_found.emit(listed["weights"]))
        self.downloads.happened.connect(lambda reports: self.progress.emit(*reports[-1]))
        self.downloads.completed.connect(lambda done: self.downloaded.emit(*done))
        for worker in self.workers:
            worker.failed.connect(self._failed)
            worker.ended.connect(self.changed)
        self._messages = messages

    @property
    def workers(self) -> tuple[Worker, ...]:
        return self.storage, self.downloads, self.lister, self.machines

    def measure(self) -> None:
        """Add up what every kind takes."""

        def job(control: RunControl, _say: Say) -> Any:
            from core.runs.storage import used

            return used(self.home, control)

        self._start(self.storage, tr("adding up used space"), job)

    def clear(self, kind: str) -> None:
        """Remove everything of a kind that can be made again."""

        def job(control: RunControl, _say: Say) -> Any:
            from core.runs.storage import clear

            return kind, clear(self.home, kind, control)

        self._start(self.storage, tr("clearing away"), job)

    def list_weights(self) -> None:
        """Look which ImageNet weights are on this machine; a process does it, as it needs PyTorch."""

        def job(control: RunControl, _say: Say) -> Any:
            from core.models.fetching import weights_here

            with Child("tool") as child:
                return child.call(weights_here, {}, control)

        self._start(self.lister, tr("looking for weights"), job)

    def look_at_machines(self, clusters: list[dict[str, str]]) -> None:
        """Ask schedulers for their workers; a process does it, as it needs Dask."""

        def job(control: RunControl, _say: Say) -> Any:
            with Child("tool") as child:
                return child.call(look_at_machines, {"clusters": clusters}, control)

        self._start(self.machines, tr("looking at machines"), job)

    def fetch_set(self, name: str, folder: Path) -> None:
        """Download a public data set."""

        def job(control: RunControl, say: Say) -> Any:
            from core.data.download import download
            from core.machine.site_policy import site_policy

            site_policy().allow_download(tr("the data set {name}", name=name))
            return name, str(download(name, folder, control, lambda share, words: say((share, words))))

        self._start(self.downloads, tr("downloading {name}", name=name), job)

    def fetch_weights(self, backbone: str, folder: Path) -> None:
        """Download ImageNet weights; `folder` is where they go, to clear half a file away."""

        def job(control: RunControl, say: Say) -> Any:
            from core.models.fetching import fetch_weights, remove_parts

            before = set(folder.rglob("*")) if folder.is_dir() else set()
            try:
                with Child("tool") as child:
                    say((0.0, tr("Starting the download …")))
                    done = child.call(
                        fetch_weights, {"backbone": backbone}, control,
                        lambda share, words: say((share, words)),
                    )  # fmt: skip
                return backbone, done["path"]
            finally:
                remove_parts(folder, before)

        self._start(self.downloads, tr("downloading {name}", name=backbone), job)

    def _start(self, worker: Worker, title: str, job: Any) -> None:
        if not worker.running:
            worker.start(title, job)
            self.changed.emit()

    def _storage_done(self, result: Any) -> None:
        if isinstance(result, list):
            self.measured.emit(result)
        else:
            self.cleared.emit(*result)
            self.measure()

    def _failed(self, failure: Failure) -> None:
        self._messages.failure(failure)
