"""The layout of the place: buttons, the front, three tabs beside it, the table of trials below."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (  # fmt: skip
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.analysis.wording import heading
from core.common.numbers import percent
from core.comparison.coordinates import Coordinates
from core.document import dimensions
from core.records.metrics import METRICS
from core.search.records import STATES, TrialRecord
from core.search.text import figure, outcome
from gui.base import theme
from gui.base.actions import Actions
from gui.base.translation import tr
from gui.study.coordinates import FRONT, OTHER, study_coordinates
from gui.study.front_plot import FrontPlot
from gui.study.reading import ShownStudy
from gui.widgets.bar_table import BarTable, Cell, Column
from gui.widgets.buttons import ActionButton, EmptyState, Header, card, text
from gui.widgets.narrow_layout import TurningSplitter
from gui.widgets.parallel_plot import ParallelPlot
from gui.widgets.splitter import Splitter
from gui.widgets.tabs import Tabs


class StudyView(QWidget):
    """Signals: confirm_wanted, open_wanted (number of a trial), more_wanted, resume_wanted."""

    confirm_wanted = Signal(int)
    open_wanted = Signal(int)
    more_wanted = Signal()
    resume_wanted = Signal()

    def __init__(self, actions: Actions):
        super().__init__()
        self.setObjectName("place-study")
        self.shown: ShownStudy | None = None
        self.selected = 0
        self.confirm = _button("study-confirm", tr("Confirm at full length"))
        self.open = _button("study-open", tr("Open as a pipeline"))
        self.more = _button("study-more", tr("More trials…"))
        self.resume = _button("study-resume", tr("Resume"))
        self.confirm.clicked.connect(lambda: self.confirm_wanted.emit(self.selected))
        self.open.clicked.connect(lambda: self.open_wanted.emit(self.selected))
        self.more.clicked.connect(self.more_wanted)
        self.resume.clicked.connect(self.resume_wanted)
        self.pause, self.stop = ActionButton(actions.pause), ActionButton(actions.stop)
        self.header = Header(
            tr("Search"), self.open, self.confirm, self.more, self.resume, self.pause, self.stop
        )
        self.front, self.parallel = (
            FrontPlot(),
            ParallelPlot("study-parallel", tr("Drawn when a trial is done.")),
        )
        self.weights = BarTable("study-weights", tr("What the settings weigh"))
        self.made = BarTable("study-made", tr("Who made what"))
        self.trials = BarTable("study-trials", tr("Trials"))
        self.trials.chosen.connect(self._row_chosen)
        self.front.chosen.connect(self.select)
        self.parallel.chosen.connect(lambda id: self.select(int(id)))
        self.words = text("", "muted", wrap=True)
        self.words.setObjectName("study-words")
        self.about = text("", "muted", wrap=True)
        self.about.setObjectName("study-about")
        self.stack = QStackedWidget()
        self.empty = EmptyState(
            "study", tr("No search yet"),
            tr("Set settings of a pipeline free, state objectives and limits on its own card, and press Run. The recipe “Quick search” is an example."),
        )  # fmt: skip
        self.stack.addWidget(self.empty)
        self.stack.addWidget(self._body())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(10)
        layout.addWidget(self.header)
        layout.addWidget(self.stack, 1)
        self.show_study(None, False)

    def _body(self) -> QWidget:
        left, right = card(), Tabs("study-tabs", tr("What is known of the trials"))
        inside = QVBoxLayout(left)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.addWidget(self.front)
        right.addTab(self.parallel, tr("Parallel coordinates"))
        right.addTab(self.weights, tr("What settings weigh"))
        right.addTab(self._one_trial(), tr("Trial"))
        self.tabs = right
        upper = TurningSplitter("study-upper", left, right)
        upper.setSizes([520, 600])
        lower = QWidget()
        below = QVBoxLayout(lower)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(6)
        below.addWidget(self.about)
        below.addWidget(self.trials, 1)
        whole = Splitter("study-splitter", upper, lower, orientation=Qt.Orientation.Vertical)
        whole.setSizes([350, 300])
        return whole

    def _one_trial(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(10, 8, 10, 8)
        column.addWidget(self.words)
        column.addWidget(self.made, 1)
        return page

    # showing

    def show_study(self, shown: ShownStudy | None, busy: bool) -> None:
        """Show a search as far as it is; `busy`: a run is under way in this window."""
        self.shown, self.busy = shown, busy
        self.stack.setCurrentIndex(0 if shown is None else 1)
        if shown is not None:
            self.header.show_texts(shown.study.pipeline.name, shown.headline)
            limits = tr("Limits: {limits}. ", limits=shown.limits) if shown.limits else ""
            self.about.setText(
                tr(
                    "{limits}Accuracies are on validation images; a limit is kept where the whole interval is.",
                    limits=limits,
                )
            )
        else:
            self.header.show_texts(tr("Search"), "")
        self.front.show_study(shown)
        self._show_parallel()
        self._show_trials()
        self._show_weights()
        self.select(self.selected)

    def _show_parallel(self) -> None:
        c = theme.colours()
        shown = study_coordinates(self.shown) if self.shown is not None else Coordinates((), ())
        self.parallel.show_coordinates(shown, {FRONT: c.accent, OTHER: c.strong_border})

    def select(self, number: int) -> None:
        """Mark a trial everywhere; one that is not there marks none."""
        trial = self._trial(number)
        self.selected = trial.number if trial is not None else 0
        self.front.show_selected(self.selected)
        self.parallel.show_selected([str(self.selected)])
        if self.shown is not None and trial is not None:
            self.trials.select(self.shown.study.trials.index(trial))
        self._show_trial(trial)
        self.update_enabled()

    def update_enabled(self) -> None:
        """What can be done, from what is shown alone."""
        trial, shown = self._trial(self.selected), self.shown
        status = shown.run.status if shown is not None else ""
        goes_on = status in ("running", "paused")
        confirmed = shown.confirmed if shown is not None else {}
        made = trial is not None and trial.state in ("done", "ended")
        self.open.setEnabled(trial is not None)
        self.confirm.setEnabled(made and self.selected not in confirmed)
        self.more.setEnabled(shown is not None)
        unfinished = shown is not None and not goes_on and status != "completed"
        self.resume.setVisible(unfinished)
        self.resume.setEnabled(unfinished and not self.busy)
        for button in (self.pause, self.stop):
            button.setVisible(goes_on)

    def retheme(self) -> None:
        """Take colours of the theme."""
        self.front.retheme()
        self._show_parallel()
        for table in (self.trials, self.weights, self.made):
            table.viewport().update()
        for button, name in (
            (self.open, "pipeline"),
            (self.confirm, "check"),
            (self.more, "add"),
            (self.resume, "resume"),
        ):
            button.setIcon(theme.icon(name))

    def _trial(self, number: int) -> TrialRecord | None:
        trials = self.shown.study.trials if self.shown is not None else ()
        return next((one for one in trials if one.number == number), None)

    def _row_chosen(self, row: int) -> None:
        trials = self.shown.study.trials if self.shown is not None else ()
        if 0 <= row < len(trials) and trials[row].number != self.selected:
            self.select(trials[row].number)

    def _show_trials(self) -> None:
        if self.shown is None:
            self.trials.show_rows((), ())
            return
        study, best = self.shown.study, self.shown.best
        columns = [
            Column(tr("Trial")), Column(tr("By"), number=False),
            *(Column(one.label.rpartition(": ")[2] if one.field else one.label, one.label, number=one.kind != "choice") for one in study.dimensions),
            *(Column(heading(METRICS[name]), METRICS[name].help) for name in study.search.aims),
            Column(tr("Outcome"), number=False, stretch=True),
        ]  # fmt: skip
        self.trials.show_rows(columns, [self._cells(trial, best) for trial in study.trials])

    def _cells(self, trial: TrialRecord, best: tuple[TrialRecord, ...]) -> list[Cell]:
        assert self.shown is not None
        study = self.shown.study
        tone = "" if trial.state == "done" and trial.same_as is None else "muted"
        cells = [Cell(str(trial.number), trial.number, tone=tone), Cell(trial.proposed, tone=tone)]
        for one in study.dimensions:
            value = trial.values.get(one.path)
            words = dimensions.in_words(one, value) if one.path in trial.values else ""
            number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
            cells.append(Cell(words, number, tone=tone))
        for name in study.search.aims:
            metric = trial.metrics.get(name)
            missed = trial.violations.get(name, 0.0) > 0
            words = figure(name, metric)
            cells.append(
                Cell(
                    words.partition(" (")[0],
                    metric.value if metric else None,
                    tone="bad" if missed else tone,
                    tip=words,
                )
            )
        words = outcome(study, trial, list(best))
        if trial.number in self.shown.confirmed:
            words = tr("{words}, confirmed", words=words) if words else tr("confirmed")
        return [*cells, Cell(words, tone="good" if trial in best else tone, tip=words)]

    def _show_weights(self) -> None:
        weights = self.shown.study.weights if self.shown is not None else {}
        labels = (
            {one.path: one.label for one in self.shown.study.dimensions} if self.shown is not None else {}
        )
        columns = [Column(tr("Setting"), number=False, stretch=True)]
        columns += [
            Column(
                METRICS[name].label,
                tr("Share of the differences between trials that the setting accounts for (PED-ANOVA)"),
            )
            for name in weights
        ]
        paths = [path for path in labels if any(path in shares for shares in weights.values())]
        cells = [
            [Cell(labels[path]), *(Cell(percent(shares.get(path, 0.0)), shares.get(path, 0.0), shares.get(path, 0.0)) for shares in weights.values())]
            for path in paths
        ]  # fmt: skip
        self.weights.show_rows(columns, cells)

    def _show_trial(self, trial: TrialRecord | None) -> None:
        columns = [
            Column(tr("Stage"), number=False, stretch=True),
            Column(tr("From"), number=False),
            Column(tr("Seconds")),
        ]
        if trial is None or self.shown is None:
            self.words.setText(tr("Choose a trial."))
            self.made.show_rows(columns, ())
            return
        settings = ", ".join(
            f"{one.label} {dimensions.in_words(one, trial.values[one.path])}"
            for one in self.shown.study.dimensions
            if one.path in trial.values
        )
        reason = f" {trial.reason}" if trial.reason else ""
        self.words.setText(
            tr(
                "Trial {number}, proposed by {by}, made by {machine} in {seconds} s: {state}.{reason}\n{settings}",
                number=trial.number, by=trial.proposed, machine=trial.machine, seconds=f"{trial.seconds:.0f}",
                state=STATES[trial.state], reason=reason, settings=settings,
            )
        )  # fmt: skip
        names = {node.id: node.title for node in self.shown.study.pipeline.stages}
        self.made.show_rows(
            columns,
            [
                [Cell(names.get(one.id, one.id)), Cell(tr("the cache") if one.cached else tr("made")), Cell(f"{one.seconds:.1f}", one.seconds)]
                for one in trial.stages
            ],
        )  # fmt: skip


def _button(name: str, words: str) -> QPushButton:
    button = QPushButton(words)
    button.setObjectName(name)
    return button
