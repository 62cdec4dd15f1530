"""The comparison desk: stages and runs side by side, as a table, as a plot, setting by setting."""

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from core.analysis.rows import Row
from core.comparison.compared_runs import ComparedRun
from core.comparison.figures import save
from core.comparison.report import write
from gui.base.translation import tr
from gui.compare import memory
from gui.compare.chosen import ChosenRuns
from gui.compare.columns import ColumnMenu
from gui.compare.panes import SidePanes
from gui.compare.plots import Plots
from gui.compare.reader import RunEntry
from gui.compare.run_picker import RunButton
from gui.compare.saving import NAMES, CopyButton, FigureButton, SaveButton, SavedBar, text_of
from gui.compare.state import ComparisonState
from gui.compare.table import ComparisonTable
from gui.compare.toolbar import Toolbar
from gui.compare.wording import about, legend, title
from gui.runs.run_results import Results
from gui.widgets.buttons import ActionButton, ElidedLabel, EmptyState, Header, card, text
from gui.widgets.metric_table import MetricModel
from gui.widgets.narrow_layout import TurningSplitter
from gui.widgets.progress_line import ProgressLine
from gui.widgets.snug_column import SnugColumn
from gui.widgets.splitter import FittingSplitter

_PLOTS = 260  # pixels that the plots keep below a long table


class CompareView(QWidget):
    """Shows a `ComparisonState`.

    Signals:
        wanted: folders of the runs to read.
        list_wanted: the list of runs is opened, and shall be as they are now.
        run_chosen: the folder of the one run to show.
        write_wanted: a file, and a function that writes it.
        measure_wanted: rows whose files are to be measured again.
        status_message: a sentence for the status bar.
    """

    wanted = Signal(list)
    list_wanted = Signal()
    run_chosen = Signal(object)
    write_wanted = Signal(object, object)
    measure_wanted = Signal(list)
    status_message = Signal(str)

    def __init__(self, open_run: QAction, run: QAction):
        super().__init__()
        self.setObjectName("place-compare")
        self.results: Results | None = None
        self.state = ComparisonState()
        memory.recall(self.state)
        self.chosen = ChosenRuns(memory.recall_runs(), memory.remember_runs)
        self.model = MetricModel()
        self.table = ComparisonTable(self.model)
        self.table.own_widths = memory.recall_widths()
        self.columns_menu = ColumnMenu()
        self.tools = Toolbar(self.columns_menu)
        self.plots, self.panes = Plots(), SidePanes()
        self.plot = self.plots.pareto
        self.runs = RunButton(ActionButton(open_run))
        self.copy, self.figure, self.save = CopyButton(), FigureButton(), SaveButton()
        self.header = Header(tr("Compare"), self.runs, self.copy, self.figure, self.save)
        self.empty = EmptyState(
            "compare",
            tr("Nothing to compare yet"),
            tr(
                "As soon as the first stage of a run is finished, its figures stand here, each with its change "
                "against the baseline. Run the pipeline, or choose runs from before."
            ),
            ActionButton(run, primary=True),
        )
        self._build()
        self._connect()
        self.retheme()
        self.show_results(None)

    # building

    def _build(self) -> None:
        self.saved = SavedBar()
        below = TurningSplitter("compare-below", self.plots, self.panes)
        below.setSizes([600, 560])
        top = self._top()
        self.body = FittingSplitter("compare-splitter", top, below, lower=_PLOTS)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(10)
        layout.addWidget(self.header)
        layout.addWidget(self.saved)
        layout.addWidget(self._stack, 1)
        self.styled_parts = (self.header, self.saved, self.empty, top, self.plots, self.panes)

    def _top(self) -> QWidget:
        self.legend = ElidedLabel()
        self.legend.setProperty("role", "muted")
        self.notice = card("notice")
        self.warning = text("", "warning", wrap=True)
        self.measure = QPushButton(tr("Measure again"))
        self.measure.setObjectName("measure-uncertain")
        self.measure.setToolTip(tr("Measure these files again, without training: when the machine is quiet"))
        self.working = ProgressLine("measure", tr("Progress of measuring"))
        inside = QHBoxLayout(self.notice)
        inside.setContentsMargins(12, 6, 12, 6)
        inside.addWidget(self.warning, 1)
        inside.addWidget(self.measure, 0, Qt.AlignmentFlag.AlignTop)
        return SnugColumn(self.tools, self.notice, self.working, self.table, self.legend)

    def _connect(self) -> None:
        table, tools, runs = self.table, self.tools, self.runs.list
        self._selection = QTimer(self)  # one refresh for a whole selection
        self._selection.setSingleShot(True)
        self._selection.timeout.connect(self._selected)
        table.selectionModel().selectionChanged.connect(lambda *_: self._selection.start(0))
        table.sort_wanted.connect(lambda name: self.change(order=self.state.next_order(name)))
        table.columns_moved.connect(lambda names: self.change(columns=tuple(names)))
        table.pin_wanted.connect(lambda id: self.change(pin=id))
        table.hide_wanted.connect(lambda ids: self.change(hidden=self.state.hidden | set(ids)))
        table.measure_wanted.connect(self.measure_wanted)
        self.measure.clicked.connect(lambda: self.measure_wanted.emit(self.state.uncertain_rows()))
        table.width_chosen.connect(lambda: memory.remember_widths(table.own_widths))
        table.columns_menu_wanted.connect(self.columns_menu.popup)
        self.columns_menu.aboutToShow.connect(self._fill_columns)
        self.columns_menu.chosen.connect(lambda names: self.change(columns=tuple(names)))
        self.columns_menu.reset_wanted.connect(self._usual_columns)
        tools.filter.textChanged.connect(lambda words: self.change(words=words))
        tools.unpin.clicked.connect(lambda: self.change(pin=""))
        tools.unhide.clicked.connect(lambda: self.change(hidden=set()))
        self.plots.chosen.connect(self.select)
        self.plot.axes_chosen.connect(lambda x, y: self.change(axes=(x, y)))
        self.panes.limits.changed.connect(self._limit)
        self.panes.settings.wanted.connect(self._show_settings)
        self.copy.wanted.connect(self._copy)
        self.save.wanted.connect(self._save)
        self.figure.wanted.connect(self._save_figure)
        self.runs.opened.connect(self.list_wanted)
        runs.toggled.connect(lambda folder, on: self._choose(lambda: self.chosen.tick(folder, on)))
        runs.cleared.connect(lambda: self._choose(lambda: self.chosen.choose(self.chosen.folders[:1])))
        runs.only.connect(self._only)

    # runs

    def show_results(self, results: Results | None) -> None:
        """Show the current run's finished stages at once; the rest follows when it is read."""
        self.results = results
        self._choose(lambda: self.chosen.show_results(results))

    def show_read(self, runs: Sequence[ComparedRun]) -> None:
        """Take runs that have been read."""
        self.chosen.take(runs)
        self._show_runs()

    def show_written(self, path: Path) -> None:
        """A report or a figure was written."""
        self.saved.show_path(path)
        self.status_message.emit(tr("Written to {path}.", path=path))

    def show_entries(self, entries: Sequence[RunEntry]) -> None:
        """Offer these runs."""
        self.runs.list.show_entries(entries)
        self.runs.show_ticked(self.chosen.folders)

    def compare_with(self, folders: Sequence[str]) -> None:
        """Compare exactly these runs."""
        self._choose(lambda: self.chosen.choose(folders))

    def _choose(self, choice: object) -> None:
        assert callable(choice)
        before = self.chosen.folders
        choice()
        if self.chosen.folders != before:
            self.saved.hide()
        self._show_runs()
        self.wanted.emit(self.chosen.folders)

    def _only(self, folder: str) -> None:
        self.chosen.choose([])
        self.run_chosen.emit(Path(folder))

    def _show_runs(self) -> None:
        self.state.show_runs(self.chosen.runs())
        self.runs.show_ticked(self.chosen.folders)
        self.panes.show_runs(self.state.runs)
        self._refresh()

    # what is shown

    def change(self, **changes: object) -> None:
        """Change the state's attributes, and show it."""
        for name, value in changes.items():
            setattr(self.state, name, value)
        memory.remember(self.state, changes.keys() & {"columns", "order", "axes", "pin"})
        if changes.keys() <= {"order", "columns"}:
            self._show_table()
        else:
            self._refresh()

    def _refresh(self) -> None:
        """Everything, from the state alone."""
        state = self.state
        outside, available = state.outside(state.rows), [kind for kind in state.available() if kind.better]
        rows, ids = self._show_table()
        self.model.show_outside(outside)
        self.plots.show_state(state, rows, available, outside, ids)
        self.panes.limits.show_rows(state.rows, available, state.limits)
        self.panes.show_limit_count(len(state.limits))
        self._show_words(len(rows))
        self._stack.setCurrentIndex(1 if state.rows else 0)
        self.copy.setEnabled(bool(rows))
        self.save.setEnabled(bool(rows))
        self.figure.setEnabled(bool(rows))
        self._selection.start(0)

    def _show_table(self) -> tuple[list[Row], list[str]]:
        """Rows and columns in their order; what was selected stays selected."""
        rows, ids = self.state.visible(), [row.id for row in self.table.chosen()]
        self.model.show_rows(rows, self.state.finals(), self.state.kinds())
        self.table.pinned = self.state.pin
        self.table.show_order(*self.state.order)
        if ids and [row.id for row in self.table.chosen()] != ids:
            self.select(*ids)
        return rows, ids

    def _show_words(self, count: int) -> None:
        state, rows = self.state, self.model.rows
        self.header.show_texts(title(state), about(state, self.results))
        self.tools.show_state(state)
        warnings = state.warnings()
        self.warning.setText("\n".join(f"⚠ {words}" for words in warnings))
        self.notice.setVisible(bool(warnings))
        self.measure.setVisible(bool(state.uncertain_rows()))
        words = [
            legend(rows),
            "" if count == len(state.rows) else tr("{shown} of {all} rows", shown=count, all=len(state.rows)),
        ]
        self.legend.setText(" · ".join(part for part in words if part))
        self.legend.setVisible(any(words))

    def allow_measuring(self, reason: str) -> None:
        """Let files be measured again; a `reason` keeps that from starting."""
        for part in (self.measure, self.table.measure):
            part.setEnabled(not reason)
        self.measure.setAccessibleDescription(reason)

    def select(self, *ids: str) -> None:
        """Select rows by their ids, and scroll to the first."""
        places = [place for id in ids if (place := self.model.row_of(id)) >= 0]
        self.table.select_rows(places)

    def retheme(self) -> None:
        for part in (
            self.runs,
            self.copy,
            self.figure,
            self.save,
            self.saved,
            self.tools,
            self.table,
            self.plots,
            self.panes,
        ):
            part.retheme()

    # what a person does

    def _selected(self) -> None:
        chosen = self.table.chosen()
        self.plots.show_selected([row.id for row in chosen])
        self.panes.notes.show_row(chosen[0] if len(chosen) == 1 else None)
        if self.panes.settings.isVisible():
            self._show_settings()

    def _show_settings(self) -> None:
        chosen = self.table.chosen()
        stages = self.state.compared_stages(chosen if len(chosen) > 1 else self.model.rows)
        lines = [run.settings_of(report) for run, report, _ in stages]
        self.panes.settings.show_stages([name for _, _, name in stages], lines)

    def _limit(self, name: str, value: float | None) -> None:
        others = {key: bound for key, bound in self.state.limits.items() if key != name}
        self.change(limits=others if value is None else {**others, name: value})

    def _fill_columns(self) -> None:
        self.columns_menu.show_columns(self.state.available(), self.state.kinds())

    def _usual_columns(self) -> None:
        self.table.own_widths.clear()
        memory.remember_widths({})
        self.change(columns=None)

    def _copy(self, form: str) -> None:
        words = text_of(self.state, self.model.rows, self.model.kinds, form)(None, None)
        QGuiApplication.clipboard().setText(words)
        self.status_message.emit(tr("The table is in the clipboard as {names}.", names=NAMES[form]))

    def _save(self, path: Path, form: str) -> None:
        make = text_of(self.state, self.model.rows, self.model.kinds, form)
        self._write(path, lambda file, home, control: write(file, make(home, control)))

    def _save_figure(self, path: Path, name: str) -> None:
        runs = list(self.state.runs)
        self._write(path, lambda file, _home, _control: save(file, name, runs, width="page"))

    def _write(self, path: Path, into: object) -> None:
        self.saved.hide()
        self.write_wanted.emit(path, into)
