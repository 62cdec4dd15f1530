"""Before a run: every stage tried on a few images, and what the run will cost here; below the cards, while one edits."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.common.durations import rough_duration
from core.common.errors import Problem
from core.document.pipeline import Pipeline
from core.document.problem_place import place_in_words
from core.engine.cost_estimate import Estimate
from core.engine.preflight import Preflight, Trial
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.editor.problems import LinkLabel
from gui.widgets.buttons import ElidedLabel, text

_STATES = {
    "waiting": ("waiting", "muted"),
    "running": ("running", "accent"),
    "passed": ("done", "good"),
    "failed": ("error", "bad"),
    "skipped": ("off", "muted"),
}
_MOST_ROWS, _MOST_LOW = 150, 76  # pixels of the list of stages, also in a low window
_ABOUT = QT_TR_NOOP(
    "A handful of images goes through every stage: train a step, compress, export, open the file. "
    "Then a few steps are timed. Nothing of it is kept."
)


class CheckPanel(QFrame):
    """Shows a check under way and its outcome until it is closed; it starts nothing itself.

    Signals:
        run_wanted: start the run, whatever was found so far.
        again_wanted: check the pipeline as it is now.
        go_wanted: the problem that a person wants to see.
        stop_wanted: give the check up.
    """

    run_wanted = Signal()
    again_wanted = Signal()
    go_wanted = Signal(object)
    stop_wanted = Signal()

    def __init__(self, check: QAction) -> None:
        """`check` says whether a pipeline can be checked now, also again: not beside a run that measures."""
        super().__init__()
        self.setObjectName("check-panel")
        self._check = check
        check.changed.connect(self._follow)
        self.setProperty("role", "card")
        self.setAccessibleName(tr("Check"))
        self._pipeline: Pipeline | None = None
        self._over, self._stale = False, False
        self._most_rows = _MOST_ROWS
        self.heading = text("", "heading")
        self.heading.setToolTip(tr(_ABOUT))
        self.bar = QProgressBar()
        self.bar.setObjectName("check-progress")
        self.bar.setAccessibleName(tr("Progress of the check"))
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(180)
        self.phase = ElidedLabel()
        self.phase.setObjectName("check-phase")
        self.phase.setProperty("role", "muted")
        self.total = text("", wrap=True)
        self.total.setObjectName("check-total")
        self.problems = QVBoxLayout()
        self.problems.setContentsMargins(12, 8, 12, 6)
        self.problems.setSpacing(2)
        self.box = QFrame()
        self.box.setProperty("role", "problems")
        self.box.setLayout(self.problems)
        self.every_time = QCheckBox(tr("Check before every run"))
        self.every_time.setObjectName("check-every-time")
        self.fold = QToolButton()
        self.fold.setObjectName("check-fold")
        self.fold.setAccessibleName(tr("Show every stage"))
        self.fold.setToolTip(tr("Show or hide what is known of every stage"))
        self.fold.setCheckable(True)
        self.fold.setChecked(True)
        self.fold.toggled.connect(lambda _on: self._update())
        self.run_button, self.close_button = QPushButton(), QPushButton()
        self.again_button = QPushButton(tr("Check again"))
        for button, name, slot in (
            (self.run_button, "check-run", self.run_wanted.emit),
            (self.again_button, "check-again", self.again_wanted.emit),
            (self.close_button, "check-close", self.close_panel),
        ):
            button.setObjectName(name)
            button.clicked.connect(lambda _=False, slot=slot: slot())
        self.run_button.setAccessibleName(tr("Run"))
        self.close_button.setAccessibleName(tr("Close the check"))
        self._lay_out()
        self.hide()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 8, 10, 10)
        column.setSpacing(6)
        top = QHBoxLayout()
        top.setSpacing(8)
        top.addWidget(self.fold)
        top.addWidget(self.heading)
        top.addWidget(self.bar)
        top.addWidget(self.phase, 1)
        top.addWidget(self.every_time)
        for button in (self.again_button, self.close_button, self.run_button):
            top.addWidget(button)
        column.addLayout(top)
        self.area = QScrollArea()
        self.area.setObjectName("check-stages")
        self.area.setWidgetResizable(True)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        column.addWidget(self.area)
        column.addWidget(self.box)
        column.addWidget(self.total)

    # what is shown

    def begin(self, pipeline: Pipeline, then_run: bool, every_time: bool) -> None:
        """A check of this pipeline begins."""
        self._pipeline, self._over, self._stale = pipeline, False, False
        self.heading.setText(tr("Before the run") if then_run else tr("Check"))
        self.every_time.setChecked(every_time)
        self.bar.setValue(0)
        self.phase.setText(tr("Starting …"))
        self.total.setText("")
        self._clear_problems()
        self._fill_rows()
        self._update()
        self.show()

    def _fill_rows(self) -> None:
        """A line for every stage: sign, name, outcome, time and disk."""
        assert self._pipeline is not None
        self._signs: dict[str, QLabel] = {}
        self._outcomes: dict[str, ElidedLabel] = {}
        self._costs: dict[str, QLabel] = {}
        page = QWidget()
        page.setProperty("role", "page")
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 2, 6, 2)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(2, 1)
        for row, node in enumerate(self._pipeline.active):
            name = ElidedLabel(node.title)
            name.setMinimumWidth(190)
            self._signs[node.id], self._outcomes[node.id] = QLabel(), ElidedLabel()
            self._outcomes[node.id].setProperty("role", "muted")
            self._costs[node.id] = text("", "muted")
            self._sign(node.id, "waiting", tr("not yet"))
            for place, widget in enumerate(
                (self._signs[node.id], name, self._outcomes[node.id], self._costs[node.id])
            ):
                grid.addWidget(widget, row, place)
        grid.setRowStretch(len(self._pipeline.active), 1)
        self.area.setWidget(page)
        self._limit_rows()

    def set_low(self, low: bool) -> None:
        """Whether the window is low: fewer stages at a time."""
        self._most_rows = _MOST_LOW if low else _MOST_ROWS
        self._limit_rows()

    def _limit_rows(self) -> None:
        page = self.area.widget()
        if page is not None:
            self.area.setFixedHeight(min(self._most_rows, page.sizeHint().height() + 2))

    def show_progress(self, done: float, words: str) -> None:
        """The part that is done, and what goes on."""
        if self._pipeline is None:
            return
        self.bar.setValue(round(done * 1000))
        self.phase.setText(words)
        name = words.partition(":")[0]
        for node in self._pipeline.active:
            if node.title == name and self._outcomes[node.id].whole == tr("not yet"):
                self._sign(node.id, "running", tr("being tried …"))

    def show_trial(self, trial: Trial) -> None:
        """How a stage came through."""
        if self._pipeline is not None and trial.id in self._signs:
            words = tr("See below") if trial.problem is not None else trial.sentence
            self._sign(trial.id, trial.state, words)

    def show_result(self, flight: Preflight, cost: Estimate | None) -> None:
        """The outcome."""
        self._over = True
        for trial in flight.trials:
            self.show_trial(trial)
        for problem in flight.problems:
            self._add_problem(problem)
        count = len(flight.problems)
        self.heading.setText(
            tr("Every stage came through")
            if not count
            else tr("{count} problems found", count=count)
            if count > 1
            else tr("1 problem found")
        )
        for stage in cost.stages if cost is not None else ():
            if stage.id in self._costs:
                words = tr(
                    "≈ {rough_duration}, {disk_mb:.0f} MB",
                    rough_duration=rough_duration(stage.seconds),
                    disk_mb=stage.disk_mb,
                )
                self._costs[stage.id].setText(words)
        self.total.setText("\n".join(_totals(cost)) if cost is not None else "")
        self._update()

    def show_given_up(self, why: str) -> None:
        """The check itself failed, or was stopped."""
        self._over = True
        self.phase.setText(why)
        self.heading.setText(tr("The check could not be made"))
        self._update()

    def set_stale(self, stale: bool) -> None:
        """Whether the pipeline is another one than the one that was, or is being, checked."""
        if self._pipeline is not None and stale != self._stale:
            self._stale = stale
            self._update()

    def _clear_problems(self) -> None:
        while (item := self.problems.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()

    def _add_problem(self, problem: Problem) -> None:
        assert self._pipeline is not None
        where = place_in_words(problem, self._pipeline)
        link = LinkLabel(tr("Go to {where}", where=where))
        link.setObjectName(f"check-problem-{self.problems.count() // 2}")
        link.clicked.connect(lambda _=False: self.go_wanted.emit(problem))
        self.problems.addWidget(text(f"{where}: {problem.message} {problem.advice}".strip(), wrap=True))
        self.problems.addWidget(link)

    def _sign(self, id: str, state: str, words: str) -> None:
        icon, colour = _STATES[state]
        self._signs[id].setPixmap(theme.pixmap(icon, colour, 18, self.devicePixelRatioF()))
        self._signs[id].setAccessibleName(state)
        self._outcomes[id].setText(words)

    def _update(self) -> None:
        """What is visible and what the buttons say, from the state alone."""
        problems, opened = self.problems.count() > 0, self.fold.isChecked()
        if self._stale:
            self.phase.setText(tr("The pipeline has changed since: this is about how it was."))
        elif self._over and (problems or self.total.text()):
            self.phase.setText("")
        self.bar.setVisible(not self._over)
        self.area.setVisible(opened)
        self.box.setVisible(problems)
        self.box.setEnabled(not self._stale)
        self.total.setVisible(bool(self.total.text()))
        self.again_button.setVisible(self._stale)
        self.run_button.setVisible(not self._stale)
        if self._over:
            self.run_button.setText(tr("Run all the same") if problems else tr("Run"))
            self.close_button.setText(tr("Close"))
        else:
            self.run_button.setText(tr("Skip and run"))
            self.close_button.setText(tr("Stop"))
        self.retheme()

    def _follow(self) -> None:
        possible = self._check.isEnabled()
        self.again_button.setEnabled(possible)
        self.again_button.setToolTip(
            "" if possible else tr("A run is going on; this would disturb its measurements")
        )

    def retheme(self) -> None:
        """Take the icons of the theme."""
        self.run_button.setIcon(theme.icon("play"))
        self.again_button.setIcon(theme.icon("check"))
        self.fold.setIcon(theme.icon("less" if self.fold.isChecked() else "more", "muted"))

    # what a person does

    def close_panel(self) -> None:
        """Put it away; a check that still goes on is given up."""
        self.hide()
        self._pipeline = None
        if not self._over:
            self.stop_wanted.emit()


def _totals(cost: Estimate) -> list[str]:
    """What the whole run will cost, of that the search, and how the images are kept; a line each."""
    searching = [cost.search.line.strip()] if cost.search is not None else []
    return [cost.lines()[-1], *searching, *([cost.data] if cost.data else [])]
