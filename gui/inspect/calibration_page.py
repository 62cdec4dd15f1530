"""How many calibration images are enough for a network's INT8 file, and which method: trials, and the advice from them."""

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QPushButton,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.deploy.quantization.advice import FASTEST, METHODS, Advice, Question, Trial
from core.document.overrides import Target
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.inspect.send_row import SendRow
from gui.widgets.bar_table import BarTable, Cell, Column
from gui.widgets.buttons import ElidedLabel, EmptyState, text
from gui.widgets.progress_line import ProgressLine
from gui.widgets.turning import TurningRow, beside

_EMPTY = QT_TR_NOOP(
    "Static INT8 measures the ranges of activations on some training images. The trial calibrates the network before it with 32, "
    "128 and 512 images, several draws of each, and looks on validation images at how much the draw decides. It changes nothing "
    "and can be stopped at any time; the advice can be sent into the pipeline."
)


class CalibrationPage(QWidget):
    """Asks for trials and shows what they say.

    Signals:
        wanted: a `Question`.
        send_wanted: the `Target` in the open pipeline that takes the advice.
    """

    wanted = Signal(object)
    send_wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.advice: Advice | None = None
        usual = Question()
        self.draws = _number("calibration-draws", tr("Draws of each number of images"), (2, 100), usual.draws)
        self.draws.setSuffix(tr(" draws"))
        self.judged = _number(
            "calibration-judged", tr("Validation images to judge by"), (10, 10_000), usual.judged
        )
        self.judged.setSingleStep(64)
        self.judged.setSuffix(tr(" validation images"))
        self.others = QCheckBox(tr("Other methods too"))
        self.others.setObjectName("calibration-others")
        self.others.setToolTip(tr("Percentile and entropy beside min-max; they take longer"))
        self.others.setChecked(True)
        self.start = QPushButton(tr("Try calibrations"))
        self.start.setObjectName("calibration-start")
        self.start.setProperty("primary", True)
        self.start.clicked.connect(self._start)
        self.working = ProgressLine("calibration", tr("Progress of the trials"))
        self.words = ElidedLabel()
        self.words.setObjectName("calibration-words")
        self.words.setProperty("role", "muted")
        self.table = BarTable("calibration", tr("Calibrations that were tried"))
        self.sentence = text("", "", wrap=True)
        self.sentence.setObjectName("calibration-advice")
        self.setting = ElidedLabel()
        self.setting.setProperty("role", "section")
        self.sending = SendRow("calibration", self.setting)
        self.sending.wanted.connect(self.send_wanted)
        self.empty = EmptyState("calibration", tr("How many calibration images are enough?"), tr(_EMPTY))
        self._build()
        self._targets: Sequence[Target] = ()
        self._reason = self._busy = ""
        self.retheme()
        self._update_enabled()
        self.show_advice(None)

    def _build(self) -> None:
        tools = TurningRow(beside(self.draws, self.judged), beside(self.others, self.start), gap=10)
        top = TurningRow(tools, self.words, gap=10, stretch=(0, 1))
        results = QWidget()
        column = QVBoxLayout(results)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(self.table, 1)
        column.addWidget(self.sentence)
        column.addWidget(self.sending)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(results)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(top)
        layout.addWidget(self.working)
        layout.addWidget(self._stack, 1)

    def show_advice(self, advice: Advice | None) -> None:
        """Show what trials said; None shows what they would do."""
        self.advice = advice
        self._stack.setCurrentIndex(0 if advice is None else 1)
        self.words.setText("")
        if advice is not None:
            self.words.setText(
                tr(
                    "Signal to noise of the logits, INT8 against float, on {images} validation images",
                    images=advice.judged,
                )
            )
            self.table.show_rows(_columns(), _rows(advice))
            self.sentence.setText(advice.sentence)
            self.setting.setText(
                tr(
                    "{method}, {images} calibration images",
                    method=advice.method,
                    images=advice.settings["images"],
                )
            )
        self.sending.offer(self._targets, advice is not None)

    def show_targets(self, targets: Sequence[Target]) -> None:
        """Stages of the open pipeline that calibrate."""
        self._targets = targets
        self.sending.offer(targets, self.advice is not None)

    def allow(self, reason: str) -> None:
        """Trials can be asked for, unless there is a reason against it."""
        self._reason = reason
        self._update_enabled()

    def show_busy(self, busy: str) -> None:
        """What goes on, "" for nothing."""
        self._busy = busy
        if busy:
            self.working.begin(busy)  # before the button is disabled: it has the focus back at the end
        self._update_enabled()
        if not busy:
            self.working.end()

    def retheme(self) -> None:
        self.start.setIcon(theme.icon("search", "on_accent"))
        self.sending.retheme()
        self.table.viewport().update()

    def _update_enabled(self) -> None:
        for widget in (self.draws, self.judged, self.others):
            widget.setEnabled(not self._busy)
        self.start.setEnabled(not self._busy and not self._reason)
        self.start.setToolTip(
            self._reason or tr("Calibrate with several draws of images, and look at what differs")
        )

    def _start(self) -> None:
        methods = METHODS if self.others.isChecked() else (FASTEST,)
        self.wanted.emit(Question(methods, draws=self.draws.value(), judged=self.judged.value()))


def _number(name: str, label: str, bounds: tuple[int, int], value: int) -> QSpinBox:
    box = QSpinBox()
    box.setObjectName(name)
    box.setAccessibleName(label)
    box.setToolTip(label)
    box.setRange(*bounds)
    box.setValue(value)
    return box


def _columns() -> list[Column]:
    return [
        Column(tr("Method"), tr("How the range of an activation follows from its values"), False, True),
        Column(tr("Images"), tr("Calibration images of a draw")),
        Column(tr("Signal to noise"), tr("Mean over the draws; the line on the bar goes from the worst draw to the best")),
        Column(tr("Worst draw"), tr("What a single calibration may get by bad luck")),
        Column(tr("Best draw"), tr("What it may get by good luck")),
        Column(tr("Same class"), tr("Validation images that keep float's class, mean over the draws")),
    ]  # fmt: skip


def _rows(advice: Advice) -> list[list[Cell]]:
    best = max(max(trial.signals) for trial in advice.trials)
    return [_row(trial, best, advice) for trial in advice.trials]


def _row(trial: Trial, best: float, advice: Advice) -> list[Cell]:
    low, high = trial.worst, max(trial.signals)
    chosen = (trial.method, trial.images) == (advice.method, advice.settings["images"])
    scale = max(best, 1e-9)
    tip = tr("{low:.2f} to {high:.2f} dB in {draws} draws", low=low, high=high, draws=len(trial.signals))
    mean = Cell(
        f"{trial.mean:.2f} dB",
        trial.mean,
        max(0.0, trial.mean / scale),
        tip=tip,
        around=(low / scale, high / scale),
    )
    kept = sum(trial.agreements) / len(trial.agreements)
    return [
        Cell(f"✓ {trial.method}" if chosen else trial.method, tone="good" if chosen else ""),
        Cell(str(trial.images), trial.images), mean, Cell(f"{low:.2f} dB", low), Cell(f"{high:.2f} dB", high),
        Cell(f"{kept:.2f} %", kept),
    ]  # fmt: skip
