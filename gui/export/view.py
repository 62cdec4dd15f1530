"""The Export place: choose a file, a format and where it goes; the verification and the model card beside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (  # fmt: skip
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.analysis.rows import Row
from core.deploy.formats.catalogue import FORMATS
from core.deploy.formats.settings import ExportSettings
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.export.ladder_view import LadderView
from gui.export.verdict import VerdictCard
from gui.help.page import DocumentPage
from gui.runs.run_results import Results
from gui.widgets.buttons import ActionButton, EmptyState, Header, card, text
from gui.widgets.fields import Option
from gui.widgets.focus_keeper import FocusKeeper
from gui.widgets.form import Form
from gui.widgets.metric_table import MetricModel, MetricTable
from gui.widgets.narrow_layout import TurningRow
from gui.widgets.tabs import Tabs

_COLUMNS = ("top1", "latency_ms", "size_mb", "params", "agreement", "max_logit_difference")
_ABOUT = QT_TR_NOOP("The file is opened again and held against its network before it takes its place.")
_FORM_WIDTH = 448
_ROWS = 3  # of the table that are seen at once


class ExportView(QWidget):
    """Shows what can be exported and how it went; the `ExportPlace` decides and exports.

    Signals:
        row_chosen: another row is chosen.
        settings_edited: path of a setting, its value, and whether it goes back to its default.
        target_typed: a person wrote or picked the target, as text.
        export_wanted: the export is to begin.
        stop_wanted: the export under way is to stop.
        skip_wanted: the export under way is to go on without measuring the file.
    """

    row_chosen = Signal()
    settings_edited = Signal(tuple, object, bool)
    target_typed = Signal(str)
    export_wanted = Signal()
    stop_wanted = Signal()
    skip_wanted = Signal()

    def __init__(self, open_run: QAction, run: QAction):
        super().__init__()
        self.setObjectName("place-export")
        self.model = MetricModel(_COLUMNS)
        self.table = MetricTable("export-files", tr("Files that can be exported"), self.model)
        self.table.selectionModel().currentRowChanged.connect(self._chosen)
        self.header = Header(tr("Export"), ActionButton(open_run))
        self.form = Form(ExportSettings, {"format": _options(tuple(FORMATS))})
        self.form.edited.connect(self.settings_edited)
        self.reason_card, self.reason = card("notice"), text("", "", wrap=True)
        self.reason.setObjectName("export-reason")
        self.ladder, self.model_card, self.verdict = LadderView(), DocumentPage(), VerdictCard()
        self.model_card.setObjectName("export-model-card")
        self.model_card.setAccessibleName(tr("Model card"))
        self.tabs = Tabs("export-tabs", tr("What is known of the file"))
        self.empty = EmptyState(
            "export",
            tr("Nothing to export yet"),
            tr(
                "Every finished stage of a run can be exported: as an ONNX file, as an archive that is ready to run, "
                "and in other formats. Run the pipeline, or open a run from before."
            ),
            ActionButton(run, primary=True),
        )
        self._build()
        self.retheme()

    def _build(self) -> None:
        body = QWidget()
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        middle = TurningRow(self._settings_card(), self._outcome(), gap=14)
        column.addWidget(self.table)
        column.addWidget(middle, 1)
        column.addWidget(self._target_card())
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(12)
        layout.addWidget(self.header)
        layout.addWidget(self._stack, 1)

    def _settings_card(self) -> QWidget:
        page = QWidget()
        page.setProperty("role", "page")
        inner = QVBoxLayout(page)
        inner.setContentsMargins(14, 12, 14, 12)
        inner.setSpacing(10)
        reason_row = QHBoxLayout(self.reason_card)
        reason_row.setContentsMargins(12, 9, 12, 9)
        reason_row.setSpacing(10)
        self._reason_icon = QLabel()
        reason_row.addWidget(self._reason_icon, 0, Qt.AlignmentFlag.AlignTop)
        reason_row.addWidget(self.reason, 1)
        inner.addWidget(self.reason_card)
        inner.addWidget(self.form)
        inner.addStretch(1)
        area = QScrollArea()
        area.setObjectName("export-settings")
        area.setAccessibleName(tr("How it is exported"))
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(page)
        frame = card()
        frame.setFixedWidth(_FORM_WIDTH)
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.addWidget(area)
        return frame

    def _outcome(self) -> QWidget:
        """Tabs: the ladder with the verdict below it, and the model card."""
        page = card()
        column = QVBoxLayout(page)
        column.setContentsMargins(12, 10, 12, 12)
        column.setSpacing(8)
        area = QScrollArea()
        area.setObjectName("export-steps")
        area.setWidgetResizable(True)
        area.setWidget(self.ladder)
        column.addWidget(area, 1)
        column.addWidget(self.verdict)
        self.tabs.addTab(page, tr("Verification"))
        self.tabs.addTab(self.model_card, tr("Model card"))
        return self.tabs

    def _target_card(self) -> QFrame:
        frame = card()
        grid = QGridLayout(frame)
        grid.setContentsMargins(14, 10, 14, 10)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        self.target = QLineEdit()
        self.target.setObjectName("export-target")
        self.target.setAccessibleName(tr("Target"))
        self.target.textEdited.connect(self.target_typed)
        self.browse = QPushButton(tr("Browse…"))
        self.browse.setObjectName("export-browse")
        self.browse.clicked.connect(self._browse)
        self.button = QPushButton(tr("Export"))
        self.button.setObjectName("export")
        self.button.setProperty("primary", True)
        self.button.clicked.connect(self.export_wanted)
        self.cancel = QPushButton(tr("Cancel"))
        self.cancel.setObjectName("export-cancel")
        self.cancel.clicked.connect(self.stop_wanted)
        self._keyboard = FocusKeeper(self.cancel)
        self.skip = QPushButton(tr("Skip measuring"))
        self.skip.setObjectName("export-skip")
        self.skip.setToolTip(tr("Write the file now, without a latency of its own"))
        self.skip.clicked.connect(self.skip_wanted)
        self.bar = QProgressBar()
        self.bar.setObjectName("export-progress")
        self.bar.setAccessibleName(tr("Progress of the export"))
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.hint = text("", "muted", wrap=True)
        label = text(tr("Target"))
        label.setBuddy(self.target)
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in (self.browse, self.button, self.skip, self.cancel):
            row.addWidget(widget)
        grid.addWidget(label, 0, 0)
        grid.addWidget(self.target, 0, 1)
        grid.addLayout(row, 0, 2)
        grid.addWidget(self.hint, 1, 1)
        grid.addWidget(self.bar, 1, 2)
        grid.setColumnStretch(1, 1)
        return frame

    # what is shown

    def show_rows(self, rows: list[Row], results: Results | None) -> None:
        """Offer these files of a run."""
        self.model.show_rows(rows, results.pipeline.final_id if results is not None else "")
        self._stack.setCurrentIndex(1 if rows else 0)
        head = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(head + self.table.rowHeight(0) * min(len(rows), _ROWS) + 4)
        if results is None:
            self.header.show_texts(tr("Export"), tr(_ABOUT))
        else:
            self.header.show_texts(tr("Export · {title}", title=results.title), results.about)

    def offer_formats(self, possible: Sequence[str]) -> None:
        """Say in the list of formats which can hold the file."""
        self.form.set_options("format", _options(possible))

    def show_settings(self, settings: ExportSettings) -> None:
        """Show how it will be exported."""
        self.form.show_settings(settings.model_dump(mode="json"))

    def show_target(self, text: str) -> None:
        if self.target.text() != text:
            self.target.setText(text)

    def show_state(
        self, against: str, missing: str, busy: str, fraction: float, measuring: bool = False
    ) -> None:
        """What is enabled, from the state alone.

        Args:
            against: why the format cannot hold this file. missing: what else is missing.
            busy: what the export does just now, "" where none is under way.
            measuring: whether that is measuring the file, which may be left out.
        """
        if busy:
            self._keyboard.begin()
        self.reason.setText(against)
        self.reason_card.setVisible(bool(against))
        self.button.setEnabled(not (against or missing or busy))
        self.button.setToolTip(against or missing or tr("Write the file there, open it again and verify it"))
        self.button.setVisible(not busy)
        self.bar.setVisible(bool(busy))
        self.bar.setValue(round(fraction * 1000))
        for widget in (self.target, self.browse, self.table, self.form):
            widget.setEnabled(not busy)
        self.skip.setVisible(bool(busy) and measuring)
        if busy:
            self.cancel.show()
            self._keyboard.settle()
        else:
            self._keyboard.end()
            self.cancel.hide()
        self.hint.setText(
            busy or missing or tr("What is there already is only replaced when the new file is good.")
        )

    def show_rungs(self, rungs: Sequence[Any], markdown: str, pending: bool) -> None:
        """Show the ladder (`pending`: the export is still to come) and the model card."""
        self.ladder.show_rungs(rungs, pending)
        self.model_card.show_text(markdown)

    def retheme(self) -> None:
        self.button.setIcon(theme.icon("export", "on_accent"))
        self._reason_icon.setPixmap(theme.pixmap("warning", "warning", 20, self.devicePixelRatioF()))
        self.ladder.retheme()
        self.model_card.retheme()
        self.verdict.retheme()

    def chosen(self) -> Row | None:
        """The file that is to be exported."""
        row = self.table.currentIndex().row()
        return self.model.rows[row] if 0 <= row < len(self.model.rows) else None

    def _chosen(self, _now: QModelIndex, _before: QModelIndex) -> None:
        self.row_chosen.emit()

    def _browse(self) -> None:
        start = self.target.text()
        suffix = Path(start).suffix
        if suffix:
            chosen, _ = QFileDialog.getSaveFileName(
                self, tr("Export to"), start, tr("Files (*{suffix})", suffix=suffix)
            )
        else:
            folder = QFileDialog.getExistingDirectory(self, tr("Export into"), str(Path(start).parent))
            chosen = str(Path(folder) / Path(start).name) if folder else ""
        if chosen:
            self.target.setText(chosen if chosen.endswith(suffix) else f"{chosen}{suffix}")
            self.target_typed.emit(self.target.text())


def _options(possible: Sequence[str]) -> list[Option]:
    """Every format by its title; those that cannot hold the file are crossed out."""
    return [
        Option(
            format.id,
            format.title if format.id in possible else f"✕ {format.title}",
            f"{format.title}: {format.help}",
        )
        for format in FORMATS.values()
    ]
