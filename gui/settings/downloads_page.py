"""Public data sets and ImageNet weights, fetched only on a click here."""

from pathlib import Path
from typing import Any

from PySide6.QtCore import QSettings
from PySide6.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from core.common.paths import resolved
from core.data.public_sets import PUBLIC_SETS
from gui.base.translation import tr
from gui.settings.jobs import SettingsJobs
from gui.settings.parts import SettingsPage, size
from gui.widgets.buttons import ElidedLabel, card, text
from gui.widgets.focus_keeper import FocusKeeper

_FOLDER = "downloads/folder"


class DownloadsPage(SettingsPage):
    """A row a thing with a button; one download at a time, with progress and cancel."""

    def __init__(self, jobs: SettingsJobs):
        super().__init__(
            "downloads", "Downloads", tr("Nothing is fetched from the web unless you press a button here.")
        )
        self._jobs = jobs
        self._weights: dict[str, dict[str, Any]] = {}
        self.buttons: dict[str, QPushButton] = {}
        self.states: dict[str, QLabel] = {}
        self.column.addWidget(self._running())
        self.column.addWidget(text(tr("Public data sets"), "section"))
        self.column.addLayout(self._target())
        self._sets = self._rows([(f"set-{one.id}", one.title, one.terms) for one in PUBLIC_SETS.values()])
        self.column.addWidget(self._sets)
        self.column.addWidget(text(tr("ImageNet weights"), "section"))
        self.looking = text(tr("Looking which are on this machine …"), "muted")
        self.column.addWidget(self.looking)
        self._below = QVBoxLayout()
        self.column.addLayout(self._below)
        self.end()
        for one in PUBLIC_SETS.values():
            self.states[f"set-{one.id}"].setText(size(one.size))
            self.buttons[f"set-{one.id}"].clicked.connect(lambda _=False, id=one.id: self._fetch_set(id))
        jobs.weights_found.connect(self._show_weights)
        jobs.progress.connect(self._show_progress)
        jobs.downloaded.connect(self._done)
        jobs.changed.connect(self._enable)
        self._enable()

    def refresh(self) -> None:
        """Look which weights are here."""
        if not self._weights:
            self._jobs.list_weights()

    def _running(self) -> QWidget:
        self.box = card("notice")
        row = QHBoxLayout(self.box)
        row.setContentsMargins(12, 8, 8, 8)
        self.words = ElidedLabel()
        self.bar = QProgressBar()
        self.bar.setObjectName("download-progress")
        self.bar.setAccessibleName(tr("Progress of the download"))
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(160)
        self.cancel = QPushButton(tr("Cancel"))
        self.cancel.setObjectName("download-cancel")
        self.cancel.clicked.connect(self._jobs.downloads.stop)
        self._keyboard = FocusKeeper(self.cancel)
        row.addWidget(self.words, 1)
        row.addWidget(self.bar)
        row.addWidget(self.cancel)
        return self.box

    def _target(self) -> QHBoxLayout:
        self.folder = QLineEdit(str(QSettings().value(_FOLDER, str(Path.home() / "Espalier data"))))
        self.folder.setObjectName("download-folder")
        self.folder.setAccessibleName(tr("Folder for data sets"))
        self.folder.textChanged.connect(self._enable)
        choose = QPushButton(tr("Choose…"))
        choose.setObjectName("download-choose")
        choose.clicked.connect(self._choose)
        row = QHBoxLayout()
        row.addWidget(text(tr("Into")))
        row.addWidget(self.folder, 1)
        row.addWidget(choose)
        return row

    def _rows(self, rows: list[tuple[str, str, str]]) -> QWidget:
        frame = card()
        grid = QGridLayout(frame)
        grid.setContentsMargins(14, 10, 14, 10)
        grid.setHorizontalSpacing(14)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(0, 1)
        for number, (id, title, about) in enumerate(rows):
            words = QVBoxLayout()
            words.setSpacing(1)
            words.addWidget(text(title))
            if about:
                words.addWidget(text(about, "help", wrap=True))
            grid.addLayout(words, number, 0)
            self.states[id] = text("", "muted")
            self.states[id].setObjectName(f"download-state-{id}")
            button = QPushButton(tr("Download"))
            button.setObjectName(f"download-{id}")
            button.setAccessibleName(tr("Download {title}", title=title))
            self.buttons[id] = button
            grid.addWidget(self.states[id], number, 1)
            grid.addWidget(button, number, 2)
        return frame

    def _show_weights(self, weights: list[dict[str, Any]]) -> None:
        self.looking.hide()
        self._weights = {one["id"]: one for one in weights}
        self._below.addWidget(self._rows([(f"weights-{one['id']}", one["title"], "") for one in weights]))
        for id in self._weights:
            self.buttons[f"weights-{id}"].clicked.connect(lambda _=False, id=id: self._fetch_weights(id))
        self._enable()

    def _enable(self) -> None:
        busy = self._jobs.downloads.running
        if busy:
            self._keyboard.begin()
        self.cancel.setEnabled(not (busy and self._jobs.downloads.control.stopping))
        for id, button in self.buttons.items():
            downloaded = id.startswith("weights-") and self._weights[id.removeprefix("weights-")]["bytes"]
            button.setVisible(not downloaded)
            button.setEnabled(not busy and (id.startswith("weights-") or bool(self.folder.text().strip())))
            if id.startswith("weights-"):
                self.states[id].setText(
                    tr("✓ on this machine, {size}", size=size(downloaded)) if downloaded else tr("not here")
                )
        if busy:
            self.box.show()
            self._keyboard.settle()
        else:
            self._keyboard.end()
            self.box.hide()

    def _choose(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, tr("Folder for data sets"), self.folder.text())
        if chosen:
            self.folder.setText(chosen)

    def _fetch_set(self, id: str) -> None:
        QSettings().setValue(_FOLDER, self.folder.text())
        self._show_progress(0.0, tr("Starting the download …"))
        self._jobs.fetch_set(id, resolved(self.folder.text(), Path()))

    def _fetch_weights(self, id: str) -> None:
        self._jobs.fetch_weights(id, Path(self._weights[id]["path"]).parent)

    def _show_progress(self, share: float, words: str) -> None:
        self.bar.setRange(0, 1000 if share else 0)  # nothing known: it only moves
        self.bar.setValue(round(share * 1000))
        self.words.setText(words)

    def _done(self, id: str, path: str) -> None:
        if id in self._weights:
            self._weights[id]["bytes"] = Path(path).stat().st_size
        elif id in PUBLIC_SETS:
            self.states[f"set-{id}"].setText(tr("✓ downloaded"))
            self.states[f"set-{id}"].setToolTip(path)
        self._enable()
