"""Beginning with what one has: opens the dialogs, and looks at what is named in them on workers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from core.common.control import RunControl
from core.data.catalogue import SOURCES
from core.data.place_contents import FoundImages, find_images
from core.document import edits
from core.document.from_model import describe_onnx
from core.machine.child import Child
from core.models.fetching import weights_here
from gui.base.document import Document
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Failure, Say
from gui.start.images_dialog import ImagesDialog
from gui.start.model_dialog import ModelDialog


class OwnStart(QObject):
    """Signals: made (a `Pipeline`, and the folder that its relative paths start from)."""

    made = Signal(object, object)

    def __init__(self, window: QWidget, document: Document, tool: Child, messages: Messages):
        super().__init__(window)
        self._window, self._document, self._tool, self._messages = window, document, tool, messages
        self.looker, self.weights, self.reader = LatestJob(self), LatestJob(self), LatestJob(self)
        self.dialog: ImagesDialog | ModelDialog | None = None
        self._looking_at = ""
        self.looker.moved.connect(lambda _part, words: self._tell_looking(words))
        self.looker.done.connect(self._found)
        self.looker.failed.connect(self._not_found)
        self.weights.done.connect(self._weights_known)
        self.weights.failed.connect(lambda _request, failure: messages.failure(failure))
        self.reader.done.connect(self._read)
        self.reader.failed.connect(self._not_read)

    def images(self, path: Path | None = None) -> ImagesDialog:
        """Ask for images, or begin with those at `path`."""
        dialog = ImagesDialog(self._window)
        self._open(dialog, path, dialog.images.look)
        tool = self._tool

        def job(control: RunControl, _say: Say) -> frozenset[str]:
            listed = tool.call(weights_here, {}, control)["weights"]
            return frozenset(str(one["id"]) for one in listed if one["bytes"])

        self.weights.ask("weights", tr("looking for ImageNet weights"), job)
        return dialog

    def model(self, path: Path | None = None) -> ModelDialog:
        """Ask for an ONNX file, or begin with the one at `path`."""
        document = self._document
        data = edits.with_absolute_paths(document.pipeline, document.base).data
        place = f" ({Path(data.path).name})" if data.path else ""
        dialog = ModelDialog(self._window, data, SOURCES[data.source].title + place)
        dialog.model_wanted.connect(
            lambda path: self.reader.ask(
                path, tr("looking into {name}", name=path.name), lambda _control, _say: describe_onnx(path)
            )
        )
        self._open(dialog, path, dialog.look)
        return dialog

    def _open(
        self, dialog: ImagesDialog | ModelDialog, path: Path | None, look: Callable[[Path], None]
    ) -> None:
        dialog.images.wanted.connect(self._look)
        dialog.accepted.connect(lambda: self._accepted(dialog))
        dialog.finished.connect(lambda _result: self._closed(dialog))
        self.dialog = dialog
        dialog.open()
        if path is not None:
            look(path)

    def _look(self, path: Path) -> None:
        def job(control: RunControl, say: Say) -> FoundImages:
            return find_images(path, control, lambda part, words: say((part, words)))

        self._looking_at = tr("Looking at {name} …", name=path.name)
        self._tell_looking("")
        self.looker.ask(path, tr("looking at the images"), job)

    def _tell_looking(self, words: str) -> None:
        if self.dialog is not None:
            self.dialog.images.show_looking(f"{self._looking_at} {words}".strip())

    def _found(self, _request: Any, found: FoundImages) -> None:
        if isinstance(self.dialog, ImagesDialog):
            self.dialog.show_found(found)
        elif self.dialog is not None:
            self.dialog.images.show_found(found)
            self.dialog.fit()

    def _not_found(self, _request: Any, failure: Failure) -> None:
        if self.dialog is not None:
            self.dialog.images.show_failure(failure)
            self.dialog.fit()

    def _weights_known(self, _request: Any, backbones: frozenset[str]) -> None:
        if isinstance(self.dialog, ImagesDialog):
            self.dialog.show_pretrained(backbones)

    def _read(self, _request: Any, description: Any) -> None:
        if isinstance(self.dialog, ModelDialog):
            self.dialog.show_model(description)

    def _not_read(self, _request: Any, failure: Failure) -> None:
        if isinstance(self.dialog, ModelDialog):
            self.dialog.show_failure(failure)

    def _accepted(self, dialog: ImagesDialog | ModelDialog) -> None:
        pipeline = dialog.pipeline()
        data = pipeline.data.path or str(Path.home())
        self.made.emit(pipeline, Path(data).parent)

    def _closed(self, dialog: ImagesDialog | ModelDialog) -> None:
        for job in (self.looker, self.weights, self.reader):
            job.stop()
        self.dialog = None
        dialog.deleteLater()
