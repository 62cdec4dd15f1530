"""The comparison desk: one row a file, figures with their change against the baseline."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QModelIndex, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import QComboBox, QMenu, QPushButton, QSplitter, QStackedLayout, QVBoxLayout, QWidget

from core.analysis.table import as_csv, as_markdown
from gui import theme
from gui.compare.notes import NotesPane
from gui.compare.paper import PaperPane
from gui.results import Results, RunEntry
from gui.widgets.buttons import ActionButton, Empty, Header
from gui.widgets.metric_table import MetricModel, MetricTable


class CompareView(QWidget):
    """Shows `Results`.

    Signals:
        run_chosen: the folder of another run to show.
        said: a sentence for the status bar.
    """

    run_chosen = Signal(object)
    said = Signal(str)

    def __init__(self, open_run: QAction, run: QAction):
        super().__init__()
        self.setObjectName("place-compare")
        self.results: Results | None = None
        self.model = MetricModel()
        self.table = MetricTable("comparison", "Comparison of stages", self.model, shrink=True)
        self.table.selectionModel().currentRowChanged.connect(self._row_chosen)
        self.runs = QComboBox()
        self.runs.setObjectName("runs")
        self.runs.setAccessibleName("Run")
        self.runs.setToolTip("The run that is shown")
        self.runs.setMinimumWidth(340)
        self.runs.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.runs.activated.connect(lambda _index: self.run_chosen.emit(Path(self.runs.currentData())))
        self.copy = self._copy_button()
        self.header = Header("Compare", self.runs, ActionButton(open_run), self.copy)
        self.notes, self.paper = NotesPane(), PaperPane()
        bottom = QSplitter()
        bottom.setObjectName("compare-bottom")
        bottom.setChildrenCollapsible(False)
        bottom.setHandleWidth(12)
        bottom.addWidget(self.notes)
        bottom.addWidget(self.paper)
        bottom.setSizes([430, 730])
        body = QSplitter(Qt.Orientation.Vertical)
        body.setObjectName("compare-splitter")
        body.setChildrenCollapsible(False)
        body.setHandleWidth(12)
        body.addWidget(self.table)
        body.addWidget(bottom)
        body.setSizes([380, 300])
        body.setStretchFactor(0, 1)
        self.empty = Empty(
            "compare",
            "Nothing to compare yet",
            "As soon as the first stage of a run is finished, its figures stand here, each with its change "
            "against the baseline. Run the pipeline, or open a run from before.",
            ActionButton(run, primary=True),
        )
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

    def _copy_button(self) -> QPushButton:
        button = QPushButton("Copy table")
        button.setObjectName("copy-table")
        button.setAccessibleName("Copy the table")
        button.setProperty("hasmenu", True)
        menu = QMenu(button)
        self.copy_csv = menu.addAction("As CSV, every metric", lambda: self._copy("CSV"))
        self.copy_csv.setObjectName("copy-csv")
        self.copy_markdown = menu.addAction("As Markdown", lambda: self._copy("Markdown"))
        self.copy_markdown.setObjectName("copy-markdown")
        self.copy_markdown.setShortcut(QKeySequence("Ctrl+Shift+C"))
        button.setMenu(menu)
        return button

    def show_results(self, results: Results | None) -> None:
        """Show a run's finished stages; None or none of them shows what to do next."""
        self.results = results
        chosen = self._chosen_label()
        rows = results.rows if results else []
        self.model.show_rows(rows, results.pipeline.final_id if results else "")
        self._stack.setCurrentIndex(1 if rows else 0)
        self.copy.setEnabled(bool(rows))
        if results is None:
            self.header.show_texts("Compare", "Every figure is measured on the exported file itself.")
        else:
            self.header.show_texts(results.title, results.about)
        self.notes.show_results(results)
        self.paper.show_paper(results.pipeline.paper if results else ())
        found = next((n for n, row in enumerate(rows) if row.label == chosen), -1)
        if found >= 0:
            self.table.selectRow(found)

    def show_runs(self, entries: Sequence[RunEntry]) -> None:
        """Offer these runs; the one that is shown is chosen."""
        shown = self.results.run.folder if self.results else None
        with QSignalBlocker(self.runs):
            self.runs.clear()
            for entry in entries:
                self.runs.addItem(entry.label, str(entry.folder))
            folders: list[Path] = [entry.folder for entry in entries]
            if shown is not None and shown not in folders:
                self.runs.addItem(self.results.title if self.results else "", str(shown))
                folders.append(shown)
            self.runs.setCurrentIndex(folders.index(shown) if shown in folders else -1)
        self.runs.setVisible(self.runs.count() > 0)

    def retheme(self) -> None:
        self.copy.setIcon(theme.icon("copy"))
        self.notes.retheme()
        self.table.viewport().update()

    def _chosen_label(self) -> str:
        row = self.table.currentIndex().row()
        return self.model.rows[row].label if 0 <= row < len(self.model.rows) else ""

    def _row_chosen(self, now: QModelIndex, _before: QModelIndex) -> None:
        self.notes.show_row(self.model.rows[now.row()] if now.isValid() else None)

    def _copy(self, form: str) -> None:
        if self.results is None:
            return
        text = as_csv(self.results.rows) if form == "CSV" else as_markdown(self.results.rows)
        QGuiApplication.clipboard().setText(text)
        self.said.emit(f"The table is in the clipboard as {form}.")
