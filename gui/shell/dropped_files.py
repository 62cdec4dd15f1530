"""Files dropped on the window: recognised by kind, and opened where they belong."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QLineEdit, QPlainTextEdit, QTextEdit, QWidget

from core.common.control import RunControl
from core.data.access import DataAccess
from core.data.settings import DataSettings
from core.document import edits, from_model
from core.document.pipeline import Pipeline
from core.machine.child import Child
from core.runs.home import Home
from core.runs.path_kind import path_kind
from gui.base.document import Document
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Say, Worker
from gui.shell.document_files import DocumentFiles
from gui.start.backbone_dialog import BackboneDialog


class DroppedFiles(QObject):
    """Pipelines and runs are opened, models become pipelines, everything else is taken as data.

    Signals:
        status_message: a sentence for the status bar.
        data_dropped: a folder or file to take as the data set.
    """

    status_message = Signal(str)
    data_dropped = Signal(object)

    def __init__(
        self,
        window: QWidget,
        document: Document,
        document_files: DocumentFiles,
        home: Home,
        tool: Child,
        messages: Messages,
    ):
        super().__init__(window)
        self._window, self._document, self._document_files = window, document, document_files
        self._home, self._tool, self._messages = home, tool, messages
        self.ask_with: Callable[[BackboneDialog], bool] = lambda dialog: bool(dialog.exec())
        self.inspector = Worker(self)
        self._path = Path()
        self.inspector.happened.connect(lambda steps: self.status_message.emit(f"{steps[-1]} …"))
        self.inspector.completed.connect(self._inspected)
        self.inspector.failed.connect(messages.failure)

    def takes(self, paths: Sequence[Path]) -> bool:
        """Whether these, dragged over the window, can be dropped."""
        taken = len(paths) == 1 and bool(path_kind(paths[0]))
        if taken:
            for kind in (QLineEdit, QPlainTextEdit, QTextEdit):  # these would insert the path as text
                for field in self._window.findChildren(kind):
                    field.setAcceptDrops(False)
        return taken

    def take(self, path: Path) -> None:
        """Open a dropped file by its kind."""
        kind = path_kind(path)
        if kind == "data":
            self.data_dropped.emit(path)
        elif kind in ("onnx", "weights"):
            self._inspect(path, kind)
        elif kind == "checkpoint":
            self._open(from_model.checkpoint_pipeline(path, self._data()), path)
        else:
            self._document_files.open_path(path)

    def _inspect(self, path: Path, kind: str) -> None:
        if self.inspector.running:
            self.status_message.emit(tr("Still busy with {name}.", name=self._path.name))
            return
        self._path = path
        access = DataAccess(self._document.pipeline.data, self._home.data, self._document.base)
        tool = self._tool

        def job(control: RunControl, say: Say) -> Any:
            if kind == "onnx":
                return from_model.describe_onnx(path)
            return from_model.described_by(tool, path, access, control, say)

        self.status_message.emit(tr("Looking into {name} …", name=path.name))
        self.inspector.start(tr("looking into {name}", name=path.name), job)

    def _inspected(self, contents: Any) -> None:
        path = self._path
        if isinstance(contents, from_model.OnnxDescription):
            if self._open(from_model.onnx_pipeline(path, contents, self._data()), path) and contents.notes:
                self._messages.inform(
                    tr("About {name}", name=path.name),
                    " ".join(contents.notes),
                    tr("The check (before a run) tries the file on your images."),
                )
            return
        dialog = BackboneDialog(self._window, path, contents)
        if self.ask_with(dialog):
            backbone, fresh = dialog.backbone, dialog.fresh_head
            self._open(from_model.weights_pipeline(path, backbone, fresh, contents.fem, self._data()), path)
        dialog.deleteLater()

    def _data(self) -> DataSettings:
        """The open document's data set; its path, which may be relative, in full."""
        return edits.with_absolute_paths(self._document.pipeline, self._document.base).data

    def _open(self, pipeline: Pipeline, path: Path) -> bool:
        """Whether the open document could be left, and the new one is open."""
        if not self._document_files.open_made(pipeline, path.parent):
            return False
        self.status_message.emit(
            tr("A pipeline that starts from {name}, on the data set that was open.", name=path.name)
        )
        return True
