"""How many calibration images are enough for a network's INT8 file, and which method: trials, and the advice from them."""

from typing import Any

from PySide6.QtWidgets import QCheckBox

from core.deploy.quantization.advice import FASTEST, METHODS, Advice, Question, Trial
from gui.base.translation import QT_TR_NOOP, tr
from gui.inspect.job_page import JobPage, JobTexts
from gui.inspect.send_row import SendRow
from gui.widgets.bar_table import Cell, Column
from gui.widgets.buttons import ElidedLabel, text
from gui.widgets.narrow_layout import TurningRow, beside
from gui.widgets.value_boxes import SpinBox

_TEXTS = JobTexts(
    start=QT_TR_NOOP("Try calibrations"),
    purpose=QT_TR_NOOP("Calibrate with several draws of images, and look at what differs"),
    progress=QT_TR_NOOP("Progress of the trials"),
    table=QT_TR_NOOP("Calibrations that were tried"),
    question=QT_TR_NOOP("How many calibration images are enough?"),
    about=QT_TR_NOOP(
        "Static INT8 measures the ranges of activations on some training images. The trial calibrates the network before it with "
        "32, 128 and 512 images, several draws of each, and looks on validation images at how much the draw decides. It changes "
        "nothing and can be stopped at any time, and then shows the draws that were finished; the advice can be sent into the pipeline."
    ),
)


_JUDGED = (10, 10_000)


class CalibrationPage(JobPage[Advice]):
    """Asks for trials (a `Question`) and shows what they say; the settings that they advise are sent."""

    TAKEN = ("calibrate",)

    def __init__(self) -> None:
        super().__init__("calibration", _TEXTS)
        usual = Question()
        self.draws = _number("calibration-draws", tr("Draws of each number of images"), (2, 100), usual.draws)
        self.draws.setSuffix(tr(" draws"))
        self.judged = _number(
            "calibration-judged", tr("Validation images to judge by"), _JUDGED, usual.judged
        )
        self.judged.setSingleStep(64)
        self.judged.setSuffix(tr(" validation images"))
        self.others = QCheckBox(tr("Other methods too"))
        self.others.setObjectName("calibration-others")
        self.others.setToolTip(tr("Percentile and entropy beside min-max; they take longer"))
        self.others.setChecked(True)
        self.words.setProperty("role", "muted")
        self.sentence = text("", "", wrap=True)
        self.sentence.setObjectName("calibration-advice")
        self.setting = ElidedLabel()
        self.setting.setProperty("role", "section")
        tools = TurningRow(beside(self.draws, self.judged), beside(self.others, self.start), gap=10)
        top = TurningRow(tools, self.words, gap=10, stretch=(0, 1))
        settings = (self.draws, self.judged, self.others)
        self._build(top, settings, SendRow("calibration", self.setting), self.sentence)

    def show_validation_images(self, count: int | None) -> None:
        """Offer no more validation images than there are; `count` is None where that is not known."""
        low, high = _JUDGED
        most = min(high, max(low, count)) if count else high
        self.judged.setMaximum(most)
        self.judged.setValue(min(most, Question().judged))

    def _request(self) -> Question:
        methods = METHODS if self.others.isChecked() else (FASTEST,)
        return Question(methods, draws=self.draws.value(), judged=self.judged.value())

    def _show(self) -> None:
        advice = self.result
        self.words.setText("")
        if advice is None:
            return
        self.words.setText(
            tr(
                "Signal to noise of the logits, INT8 against float, on {images} validation images",
                images=advice.judged,
            )
        )
        self.table.show_rows(_columns(), _rows(advice))
        self.sentence.setText(advice.sentence)
        if advice.settings:
            self.setting.setText(tr("{method}, {images} calibration images", **advice.settings))

    @property
    def _sendable(self) -> bool:
        return self.result is not None and bool(self.result.settings)

    def _sent(self) -> dict[str, Any]:
        assert self.result is not None
        return dict(self.result.settings)


def _number(name: str, label: str, bounds: tuple[int, int], value: int) -> SpinBox:
    box = SpinBox()
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
    chosen = {"method": trial.method, "images": trial.images} == advice.settings
    scale = max(best, 1e-9)
    tip = tr("{low:.2f} to {high:.2f} dB in {draws} draws", low=low, high=high, draws=len(trial.signals))
    mean = Cell(
        f"{trial.mean:.2f} dB",
        trial.mean,
        max(0.0, trial.mean / scale),
        tip=tip,
        around=(low / scale, high / scale),
    )
    images = (
        tr("{count} (all)", count=trial.images) if trial.images == advice.available else str(trial.images)
    )
    kept = sum(trial.agreements) / len(trial.agreements)
    return [
        Cell(f"✓ {trial.method}" if chosen else trial.method, tone="good" if chosen else ""),
        Cell(images, trial.images), mean, Cell(f"{low:.2f} dB", low), Cell(f"{high:.2f} dB", high),
        Cell(f"{kept:.2f} %", kept),
    ]  # fmt: skip
