"""Chooses a run, and a stage's file in it."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QWidget

from core.runs.stage_files import RunEntry, StageFile
from gui.base.translation import QT_TR_NOOP, tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo

NOTHING = QT_TR_NOOP("Nothing")


class SubjectPicker(QWidget):
    """Two lists: runs, and the files of the chosen one.

    Signals:
        run_chosen: the folder of a run.
        chosen: a `StageFile`, or None where nothing is chosen.
    """

    run_chosen = Signal(object)
    chosen = Signal(object)

    def __init__(self, name: str, label: str, optional: bool = False):
        """`optional`: choosing nothing is a choice."""
        super().__init__()
        self._optional = optional
        self._subjects: list[StageFile] = []
        self.runs = self._list(f"{name}-run", tr("Run of: {label}", label=label), 130)
        self.files = self._list(f"{name}-file", tr("Stage and file of: {label}", label=label), 130)
        self.runs.activated.connect(self._run)
        self.files.activated.connect(lambda _index: self.chosen.emit(self.current()))
        caption = text(label, "section")
        caption.setBuddy(self.files)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(caption)
        row.addWidget(self.runs, 1)
        row.addWidget(self.files, 1)

    @staticmethod
    def _list(name: str, label: str, width: int) -> Combo:
        box = Combo(name, label)
        box.setMinimumWidth(width)
        box.cut = Qt.TextElideMode.ElideMiddle  # runs and files of one kind begin alike
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        return box

    def show_runs(self, entries: Sequence[RunEntry], shown: Path | None, name: str = "") -> None:
        """Offer these runs; `shown` is chosen, and added as `name` where it is not among them."""
        with QSignalBlocker(self.runs):
            self.runs.clear()
            for entry in entries:
                self.runs.addItem(entry.label, str(entry.folder))
            if shown is not None and self.runs.findData(str(shown)) < 0:
                self.runs.insertItem(0, name or shown.name, str(shown))
            self.runs.setCurrentIndex(self.runs.findData(str(shown)) if shown is not None else -1)

    def show_subjects(self, subjects: Sequence[StageFile], shown: StageFile | None) -> None:
        """Offer these files; `shown` is chosen."""
        self._subjects = list(subjects)
        with QSignalBlocker(self.files):
            self.files.clear()
            if self._optional:
                self.files.addItem(tr(NOTHING))
            for subject in subjects:
                self.files.addItem(subject.title)
            place = self._subjects.index(shown) + int(self._optional) if shown in self._subjects else -1
            self.files.setCurrentIndex(place if place >= 0 else 0 if self._optional else -1)
        self.files.setEnabled(bool(subjects))

    def current(self) -> StageFile | None:
        """The chosen file."""
        place = self.files.currentIndex() - int(self._optional)
        return self._subjects[place] if 0 <= place < len(self._subjects) else None

    def _run(self, _index: int) -> None:
        self.run_chosen.emit(Path(str(self.runs.currentData())))
