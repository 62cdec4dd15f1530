"""Before a run: every stage tried on a few images, and what the run will cost here."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
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
_ABOUT = QT_TR_NOOP(
    "A handful of images goes through every stage: train a step, compress, export, open the file. "
    "Then a few steps are timed. Nothing of it is kept."
)


class CheckDialog(QDialog):
    """Shows a check under way and its outcome; it starts nothing itself.

    Signals:
        run_wanted: start the run, whatever was found so far.
        go_wanted: the problem that a person wants to see.
        stop_wanted: give the check up.
    """

    run_wanted = Signal()
    go_wanted = Signal(object)
    stop_wanted = Signal()

    def __init__(self, parent: QWidget, pipeline: Pipeline, then_run: bool, every_time: bool):
        super().__init__(parent)
        theme.style(self)
        self.setObjectName("check-dialog")
        self.setWindowTitle(tr("Before the run") if then_run else tr("Check"))
        self.setMinimumWidth(640)
        self._pipeline, self._then_run, self._over = pipeline, then_run, False
        self.heading = text(tr("Trying every stage on a few images"), "title")
        self.bar = QProgressBar()
        self.bar.setObjectName("check-progress")
        self.bar.setAccessibleName(tr("Progress of the check"))
        self.bar.setRange(0, 1000)
        self.bar.setTextVisible(False)
        self.phase = ElidedLabel(tr("Starting …"))
        self.phase.setObjectName("check-phase")
        self.phase.setProperty("role", "muted")
        self.total = text("", "", wrap=True)
        self.total.setObjectName("check-total")
        self.problems = QVBoxLayout()
        self.problems.setContentsMargins(14, 10, 14, 8)
        self.problems.setSpacing(4)
        self.box = QFrame()
        self.box.setProperty("role", "problems")
        self.box.setLayout(self.problems)
        self.every_time = QCheckBox(tr("Check before every run"))
        self.every_time.setObjectName("check-every-time")
        self.every_time.setChecked(every_time)
        self.every_time.setMinimumWidth(self.every_time.sizeHint().width() + 12)
        self.run_button, self.close_button = QPushButton(), QPushButton()
        self.run_button.setObjectName("check-run")
        self.run_button.clicked.connect(self._run)
        self.close_button.setObjectName("check-close")
        self.close_button.clicked.connect(self.reject)
        self._lay_out()
        self._update()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 18, 22, 16)
        column.setSpacing(10)
        column.addWidget(self.heading)
        column.addWidget(text(tr(_ABOUT), "muted", wrap=True))
        column.addWidget(self.bar)
        column.addWidget(self.phase)
        column.addWidget(self._rows(), 1)
        column.addWidget(self.box)
        column.addWidget(self.total)
        buttons = QHBoxLayout()
        buttons.addWidget(self.every_time)
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.run_button)
        column.addLayout(buttons)
        self.box.hide()
        self.total.hide()

    def _rows(self) -> QWidget:
        """A line for every stage: sign, name, outcome, time and disk."""
        self._signs: dict[str, QLabel] = {}
        self._outcomes: dict[str, ElidedLabel] = {}
        self._costs: dict[str, QLabel] = {}
        page = QWidget()
        page.setProperty("role", "page")
        grid = QGridLayout(page)
        grid.setContentsMargins(0, 4, 6, 4)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
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
        scroll = QScrollArea()
        scroll.setObjectName("check-stages")
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(page)
        scroll.setMinimumHeight(min(360, 30 * len(self._pipeline.active) + 14))
        return scroll

    # what is shown

    def show_progress(self, done: float, words: str) -> None:
        """The part that is done, and what goes on."""
        self.bar.setValue(round(done * 1000))
        self.phase.setText(words)
        name = words.partition(":")[0]
        for node in self._pipeline.active:
            if node.title == name and self._outcomes[node.id].whole == tr("not yet"):
                self._sign(node.id, "running", tr("being tried …"))

    def show_trial(self, trial: Trial) -> None:
        """How a stage came through."""
        if trial.id in self._signs:
            words = tr("See below") if trial.problem is not None else trial.sentence
            self._sign(trial.id, trial.state, words)

    def show_result(self, flight: Preflight, cost: Estimate | None) -> None:
        """The outcome."""
        self._over = True
        self.bar.hide()
        self.phase.hide()
        for trial in flight.trials:
            self.show_trial(trial)
        for problem in flight.problems:
            self._add_problem(problem)
        count = len(flight.problems)
        self.box.setVisible(bool(count))
        self.heading.setText(
            tr("Every stage came through")
            if not count
            else tr("{count} problems found", count=count)
            if count > 1
            else tr("1 problem found")
        )
        if cost is not None:
            for stage in cost.stages:
                if stage.id in self._costs:
                    words = tr(
                        "≈ {rough_duration}, {disk_mb:.0f} MB",
                        rough_duration=rough_duration(stage.seconds),
                        disk_mb=stage.disk_mb,
                    )
                    self._costs[stage.id].setText(words)
            self.total.setText(cost.lines()[-1])
            self.total.show()
        self._update()

    def show_given_up(self, why: str) -> None:
        """The check itself failed."""
        self._over = True
        self.bar.hide()
        self.phase.setText(why)
        self.heading.setText(tr("The check could not be made"))
        self._update()

    def _add_problem(self, problem: Problem) -> None:
        where = place_in_words(problem, self._pipeline)
        link = LinkLabel(tr("Go to {where}", where=where))
        link.setObjectName(f"check-problem-{self.problems.count() // 2}")
        link.clicked.connect(lambda _=False: self._go(problem))
        self.problems.addWidget(text(f"{where}: {problem.message} {problem.advice}".strip(), wrap=True))
        self.problems.addWidget(link)

    def _sign(self, id: str, state: str, words: str) -> None:
        icon, colour = _STATES[state]
        self._signs[id].setPixmap(theme.pixmap(icon, colour, 18, self.devicePixelRatioF()))
        self._signs[id].setAccessibleName(state)
        self._outcomes[id].setText(words)

    def _update(self) -> None:
        """What the buttons say."""
        if self._over:
            self.run_button.setText(tr("Run all the same") if self.box.isVisibleTo(self) else tr("Run"))
            self.close_button.setText(tr("Close"))
        else:
            self.run_button.setText(tr("Skip and run"))
            self.close_button.setText(tr("Cancel"))
        self.run_button.setIcon(theme.icon("play"))

    # what a person does

    def _run(self) -> None:
        self.accept()
        self.run_wanted.emit()

    def _go(self, problem: Problem) -> None:
        self.accept()
        self.go_wanted.emit(problem)

    def reject(self) -> None:
        super().reject()
        if not self._over:
            self.stop_wanted.emit()

    def closeEvent(self, event: QCloseEvent) -> None:
        super().closeEvent(event)
        if not self._over:
            self.stop_wanted.emit()
