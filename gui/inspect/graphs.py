"""Fills the graph page: pictures are made in a process of its own, which is kept while the window is open."""

from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from core.analysis import graph_blocks
from core.common.control import RunControl
from core.common.errors import EspalierError
from core.machine.child import Child
from core.runs.stage_files import StageFile, check_files
from gui.base.latest_job import LatestJob
from gui.base.messages import Messages
from gui.base.translation import tr
from gui.base.worker import Failure
from gui.inspect.graph_page import GraphPage


class Graphs(QObject):
    """What the two panes show, and with which blocks unfolded.

    Signals:
        shown: a picture is there.
    """

    shown = Signal()

    def __init__(self, page: GraphPage, messages: Messages, parent: QObject):
        super().__init__(parent)
        self._page, self._messages = page, messages
        self._child: Child | None = None
        self._subjects: dict[str, StageFile | None] = {"model": None, "reference": None}
        self.file: Path | None = None
        self._opened: dict[Path, tuple[str, ...] | None] = {}
        self._state: object = None
        self.workers = {name: LatestJob(self) for name in self._subjects}
        for worker in self.workers.values():
            worker.done.connect(self._take)
            worker.failed.connect(self._failed)
            worker.changed.connect(self._follow)
        page.wanted.connect(self._ask)
        page.file_chosen.connect(self.look_at)

    def show(self, model: StageFile, reference: StageFile | None) -> None:
        """Show a model, beside what it is compared with."""
        if (model, reference) != (self._subjects["model"], self._subjects["reference"]):
            self.file = None
        self._subjects = {"model": model, "reference": reference}
        self._fill()

    def look_at(self, path: Path | None) -> None:
        """Show a file that belongs to no run, or the model again."""
        self.file = path
        self._fill()

    def close(self) -> None:
        """End the process; the next picture starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _fill(self) -> None:
        single = self.file is not None or self._subjects["reference"] is None
        self._page.show_single(single, self.file is not None)
        for name in ("model",) if single else ("model", "reference"):
            file = self._file(name)
            if file is not None:
                self._ask(name, self._opened.get(file))

    def _file(self, name: str) -> Path | None:
        if self.file is not None:
            return self.file
        subject = self._subjects[name]
        return subject.file if subject is not None else None

    def _ask(self, name: str, opened: tuple[str, ...] | None) -> None:
        file, canvas = self._file(name), self._page.panes[name].canvas
        if file is None:
            return
        other = None if self.file is not None else self._file("reference" if name == "model" else "model")
        keep = self._page.panes[name].picture.get("model") == str(file)
        arguments = {
            "model": str(file), "other": str(other or ""), "is_before": name == "reference", "opened": opened,
            "character": canvas.character(), "line": canvas.line_height(),
        }  # fmt: skip
        request = (name, file, other, opened, keep)
        self.workers[name].ask(request, tr("reading the graph"), partial(self._picture, name, arguments))

    def _picture(self, name: str, arguments: dict[str, Any], control: RunControl, say: Any) -> dict[str, Any]:
        subject = self._subjects[name]
        if subject is not None and self.file is None:
            check_files([subject])
        if self._child is None:
            self._child = Child("measure")
        return self._child.call(
            graph_blocks.picture, arguments, control, lambda part, words: say((part, words))
        )

    def _take(self, request: Any, picture: dict[str, Any]) -> None:
        name, file, other, _opened, keep = request
        current = None if self.file is not None else self._file("reference" if name == "model" else "model")
        if file != self._file(name) or other != current:
            return
        self._opened[file] = tuple(picture["opened"])
        subject = self._subjects[name]
        title = file.name if self.file is not None or subject is None else subject.short
        self._page.show_picture(name, {**picture, "model": str(file)}, title, keep)
        self.shown.emit()

    def _failed(self, request: Any, failure: Failure) -> None:
        self._page.panes[request[0]].canvas.clear()
        if self.file is not None:
            self._messages.error(EspalierError(failure.message, failure.advice))
            self.look_at(None)
        else:
            self._page.about.setText(f"{failure.message} {failure.advice}".strip())

    def _follow(self) -> None:
        busy = any(worker.busy for worker in self.workers.values())
        if busy:
            self._page.working.begin(tr("Reading the graph"))
        else:
            self._page.working.end()
