"""Export: choose a finished stage's file and a place; the copy is verified before it is put there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, QUrl, Signal
from PySide6.QtGui import QAction, QDesktopServices, QGuiApplication
from PySide6.QtWidgets import (  # fmt: skip
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from core.analysis.table import Row
from gui import theme
from gui.export.verdict import VerdictCard
from gui.results import Results
from gui.widgets.buttons import ActionButton, Empty, Header, card, text
from gui.widgets.metric_table import MetricModel, MetricTable

_COLUMNS = ("top1", "latency_ms", "size_mb", "params", "agreement", "max_logit_difference")


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What a person asked for."""

    results: Results
    stage_key: str
    artefact_id: str
    target: Path


class ExportView(QWidget):
    """Asks for an export and shows how it went.

    Signals:
        wanted: an `ExportRequest`.
        stop_wanted: the export under way is to stop.
    """

    wanted = Signal(object)
    stop_wanted = Signal()

    def __init__(self, open_run: QAction, run: QAction):
        super().__init__()
        self.setObjectName("place-export")
        self.results: Results | None = None
        self._busy = ""
        self._own_target = self._own_row = self._filling = False
        self.model = MetricModel(_COLUMNS)
        self.table = MetricTable("export-files", "Files that can be exported", self.model)
        self.table.selectionModel().currentRowChanged.connect(self._row_chosen)
        self.header = Header("Export", ActionButton(open_run))
        self.verdict = VerdictCard()
        self.verdict.open_folder.clicked.connect(self._open_folder)
        self.verdict.copy_path.clicked.connect(self._copy_path)
        self.empty = Empty(
            "export",
            "Nothing to export yet",
            "Every finished stage of a run can be exported as an ONNX file that is verified against its "
            "network. Run the pipeline, or open a run from before.",
            ActionButton(run, primary=True),
        )
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(text("1.  Choose a file", "section"))
        column.addWidget(self.table, 1)
        column.addWidget(text("2.  Choose where it goes", "section"))
        column.addWidget(self._target_card())
        column.addWidget(self.verdict)
        self._stack = QStackedLayout()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(12)
        layout.addWidget(self.header)
        layout.addLayout(self._stack, 1)
        self.retheme()
        self.show_results(None)

    def _target_card(self) -> QWidget:
        frame = card()
        grid = QGridLayout(frame)
        grid.setContentsMargins(14, 12, 14, 12)
        grid.setHorizontalSpacing(8)
        self.target = QLineEdit()
        self.target.setObjectName("export-target")
        self.target.setAccessibleName("Target file")
        self.target.textEdited.connect(self._target_typed)
        self.target.textChanged.connect(lambda _text: self._update())
        self.browse = QPushButton("Browse…")
        self.browse.setObjectName("export-browse")
        self.browse.clicked.connect(self._browse)
        self.button = QPushButton("Export")
        self.button.setObjectName("export")
        self.button.setProperty("primary", True)
        self.button.clicked.connect(self._export)
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("export-cancel")
        self.cancel.clicked.connect(self.stop_wanted)
        self.bar = QProgressBar()
        self.bar.setObjectName("export-progress")
        self.bar.setAccessibleName("Progress of the export")
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.hint = text("", "muted", wrap=True)
        label = QLabel("Target")
        label.setBuddy(self.target)
        grid.addWidget(label, 0, 0)
        grid.addWidget(self.target, 0, 1)
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in (self.browse, self.button, self.cancel):
            row.addWidget(widget)
        grid.addLayout(row, 0, 2)
        grid.addWidget(self.hint, 1, 1)
        grid.addWidget(self.bar, 1, 2)
        grid.setColumnStretch(1, 1)
        return frame

    def show_results(self, results: Results | None) -> None:
        """Offer the files of a run."""
        before, chosen = self.results, self._chosen()
        self.results = results
        rows = [row for row in (results.rows if results else []) if row.artefact is not None]
        self._filling = True
        self.model.show_rows(rows, results.pipeline.final_id if results else "")
        self._stack.setCurrentIndex(1 if rows else 0)
        if results is None:
            self.header.show_texts(
                "Export",
                "The copy is verified against the network that it was made from, before it takes its place.",
            )
        else:
            self.header.show_texts(f"Export · {results.title}", results.about)
        same_run = before is not None and results is not None and before.run.folder == results.run.folder
        if not same_run:
            self.verdict.clear()
            self._own_target = self._own_row = False
        labels = [row.label for row in rows]
        if rows:
            wanted = (
                labels.index(chosen.label)
                if self._own_row and chosen is not None and chosen.label in labels
                else self._final_row(rows)
            )
            self.table.selectRow(wanted)
        self._filling = False
        self._update()

    def _final_row(self, rows: list[Row]) -> int:
        assert self.results is not None
        final = self.results.pipeline.final_id
        found = [
            n
            for n, row in enumerate(rows)
            if row.report
            and row.report.id == final
            and row.artefact
            and row.artefact.id == row.report.headline
        ]
        return found[0] if found else len(rows) - 1

    def show_progress(self, fraction: float, words: str) -> None:
        """The export under way."""
        self._busy = words or "Exporting"
        self.bar.setValue(round(fraction * 1000))
        self._update()

    def show_result(self, result: Any) -> None:
        """The export is good: an `ExportResult`."""
        self._busy = ""
        self.verdict.show_result(result)
        self._update()

    def show_ended(self) -> None:
        """The export was stopped or failed."""
        self._busy = ""
        self._update()

    def retheme(self) -> None:
        self.button.setIcon(theme.icon("export", "on_accent"))
        self.verdict.retheme()

    def _chosen(self) -> Row | None:
        row = self.table.currentIndex().row()
        return self.model.rows[row] if 0 <= row < len(self.model.rows) else None

    def _row_chosen(self, _now: QModelIndex, _before: QModelIndex) -> None:
        self._own_row = self._own_row or not self._filling
        row = self._chosen()
        if row is not None and row.artefact is not None and row.report is not None and not self._own_target:
            folder = Path(self.target.text()).parent if self.target.text() else Path.home()
            name = f"{row.report.key.replace('@', '-')}-{row.artefact.id}.onnx"
            self.target.setText(str(folder / name))
        self._update()

    def _update(self) -> None:
        """Enabled or not, from the state alone."""
        row, busy = self._chosen(), bool(self._busy)
        reason = self._reason(row)
        self.button.setEnabled(not reason and not busy)
        self.button.setToolTip(reason or "Copy the file there and verify the copy")
        self.button.setVisible(not busy)
        self.cancel.setVisible(busy)
        self.bar.setVisible(busy)
        for widget in (self.target, self.browse, self.table):
            widget.setEnabled(not busy)
        self.hint.setText(
            self._busy if busy else reason or "An existing file is only replaced when the new one is good."
        )

    def _reason(self, row: Row | None) -> str:
        if row is None:
            return "Choose a file in the table first."
        text = self.target.text().strip()
        if not text:
            return "Choose where the file goes."
        if not Path(text).expanduser().parent.is_dir():
            return "This folder does not exist; choose another one."
        return "" if Path(text).suffix == ".onnx" else "The file's name has to end with .onnx."

    def _target_typed(self, _text: str) -> None:
        self._own_target = True

    def _browse(self) -> None:
        chosen, _ = QFileDialog.getSaveFileName(self, "Export to", self.target.text(), "ONNX models (*.onnx)")
        if chosen:
            self._own_target = True
            self.target.setText(chosen if chosen.endswith(".onnx") else f"{chosen}.onnx")

    def _export(self) -> None:
        row = self._chosen()
        if row is None or row.report is None or row.artefact is None or self.results is None:
            return
        self.verdict.clear()
        target = Path(self.target.text().strip()).expanduser()
        self.show_progress(0.0, "Copying")
        self.wanted.emit(ExportRequest(self.results, row.report.key, row.artefact.id, target))

    def _open_folder(self) -> None:
        if self.verdict.path is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.verdict.path.parent)))

    def _copy_path(self) -> None:
        if self.verdict.path is not None:
            QGuiApplication.clipboard().setText(str(self.verdict.path))
