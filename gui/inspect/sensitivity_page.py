"""Which layers matter least: a sensitivity scan, its table, and a way into the editor."""

import math
from collections.abc import Sequence

from PySide6.QtWidgets import QHBoxLayout, QWidget

from core.analysis.sensitivity import Spread, most_sensitive, ratios_text, suggested_ratios
from core.common.numbers import percent
from core.stages.base import ScanKind
from gui.base.translation import QT_TR_NOOP, tr
from gui.inspect.job_page import JobPage, JobTexts
from gui.inspect.send_row import SendRow
from gui.inspect.sensitivity import Sensitivity, of_scan
from gui.inspect.work import MOST_IMAGES, PruneScan, QuantizeScan, Scan, ScanRequest
from gui.widgets.bar_table import Cell, Column
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.value_boxes import DoubleSpinBox, SpinBox

_KINDS = (
    (QT_TR_NOOP("Pruning, inside of blocks"), ("prune", "block-internal")),
    (QT_TR_NOOP("Pruning, whole groups"), ("prune", "whole-groups")),
    (QT_TR_NOOP("Quantization to INT8"), ("quantize", "")),
)
_TEXTS = JobTexts(
    start=QT_TR_NOOP("Scan"),
    purpose=QT_TR_NOOP("Look at every layer by itself, on validation images"),
    progress=QT_TR_NOOP("Progress of the scan"),
    table=QT_TR_NOOP("Sensitivity of every layer"),
    question=QT_TR_NOOP("Which layers can this network spare?"),
    about=QT_TR_NOOP(
        "The scan takes each layer by itself and looks at what it costs: without some of its channels, or computed "
        "with integers. It uses validation images, changes nothing and can be stopped at any time, and then shows the layers "
        "that were finished. Its result can be sent into the pipeline as settings of single layers."
    ),
)


class SensitivityPage(JobPage[Scan]):
    """Asks for a scan (a `ScanRequest`) and shows what it found; the text of a setting for single layers is sent."""

    TAKEN = ("prune", "quantize")

    def __init__(self) -> None:
        super().__init__("scan", _TEXTS)
        self._ratios: dict[str, float] = {}
        self.kind = Combo("scan-kind", tr("What is scanned"))
        for title, kind in _KINDS:
            self.kind.addItem(tr(title), kind)
        self.within = DoubleSpinBox()
        self.within.setObjectName("scan-within")
        self.within.setAccessibleName(tr("How narrow the intervals have to be"))
        self.within.setToolTip(
            tr("Each layer is looked at on as many validation images as an interval of this width needs, at most {most}",
               most=MOST_IMAGES)
        )  # fmt: skip
        self.within.setRange(0.1, 20.0)
        self.within.setSingleStep(0.5)
        self.within.setDecimals(1)
        self.within.setValue(2.0)
        self.within.setPrefix("± ")
        self.kind.currentIndexChanged.connect(lambda _index: self._show_unit())
        self._show_unit()
        top = QWidget()
        row = QHBoxLayout(top)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(10)
        for widget in (text(tr("Scan for"), "section"), self.kind, self.within, self.start):
            row.addWidget(widget)
        row.addWidget(self.words, 1)
        self._build(top, (self.kind, self.within), self._sending())

    def _sending(self) -> SendRow:
        self.loss = DoubleSpinBox()
        self.loss.setObjectName("scan-loss")
        self.loss.setAccessibleName(tr("Points that each layer may lose by itself"))
        self.loss.setRange(0.0, 100.0)
        self.loss.setSingleStep(0.5)
        self.loss.setDecimals(2)
        self.loss.setValue(2.0)
        self.loss.setSuffix(tr(" points"))
        self.count = SpinBox()
        self.count.setObjectName("scan-count")
        self.count.setAccessibleName(tr("How many of the most sensitive layers stay float"))
        self.count.setRange(1, 999)
        self.count.setValue(3)
        self.count.setSuffix(tr(" most sensitive layers"))
        self.rule = text()
        self.loss.valueChanged.connect(lambda _value: self._fill())
        self.count.valueChanged.connect(lambda _value: self._fill())
        return SendRow("scan", self.rule, self.loss, self.count)

    def _show(self) -> None:
        pruning = isinstance(self.result, PruneScan)
        self.rule.setText(
            tr("Prune each layer as far as it loses at most") if pruning else tr("Keep in float the")
        )
        self.loss.setVisible(pruning)
        self.count.setVisible(not pruning)
        self.words.setText(_words(self.result))
        self._fill()

    def _show_unit(self) -> None:
        self.within.setSuffix(tr(" points") if self.kind.currentData()[0] == "prune" else " dB")

    def _request(self) -> ScanRequest:
        kind, scope = self.kind.currentData()
        return ScanRequest(kind, scope, self.within.value())

    def _fill(self) -> None:
        scan = self.result
        if isinstance(scan, PruneScan):
            self._ratios = suggested_ratios(scan.layers, scan.top1, self.loss.value())
            columns, cells = _pruning(scan, self._ratios)
        elif isinstance(scan, QuantizeScan):
            self.count.setMaximum(max(1, len(scan.ranking)))
            columns, cells = _quantization(scan, self.count.value())
        else:
            return
        self.table.show_rows(columns, cells)

    @property
    def _sendable(self) -> bool:
        scan = self.result
        return scan is not None and (scan.extent.whole or isinstance(scan, PruneScan))

    @property
    def _taken_kind(self) -> ScanKind:
        return "prune" if isinstance(self.result, PruneScan) else "quantize"

    def _sent(self) -> str:
        if isinstance(self.result, QuantizeScan):
            return most_sensitive((name for name, _ in self.result.ranking), self.count.value())
        return ratios_text(self._ratios)


def stopped_words(scan: Scan) -> str:
    """How far a scan came that was stopped."""
    return tr("Stopped after {done} of {planned} layers.", done=scan.extent.done, planned=scan.extent.planned)


def _words(scan: Scan | None) -> str:
    found = _found(scan)
    return found if scan is None or scan.extent.whole else f"{stopped_words(scan)} {found}"


def _found(scan: Scan | None) -> str:
    if isinstance(scan, PruneScan):
        return tr(
            "{top1:.2f} % of {images} validation images are right; by how many points that changes:",
            top1=scan.top1,
            images=scan.images,
        )
    if isinstance(scan, QuantizeScan):
        return tr(
            "On {images} validation images; low values are the layers that integers hurt most.",
            images=scan.images,
        )
    return ""


def _pruning(scan: PruneScan, ratios: dict[str, float]) -> tuple[Sequence[Column], list[list[Cell]]]:
    shares = sorted({share for layer in scan.layers for share in layer.top1})
    columns = [
        Column(tr("Layer"), tr("The leading layer of a group of channels that go together"), False, True),
        Column(tr("Channels")),
        *(
            Column(
                tr("Without {percent}", percent=percent(share)),
                tr(
                    "Change of validation accuracy in points with {percent} of its channels at zero",
                    percent=percent(share),
                ),
            )
            for share in shares
        ),
        Column(tr("Prune"), tr("The share that loses at most what is allowed below")),
    ]
    worst = max((layer.loss(s, scan.top1) for layer in scan.layers for s in layer.top1), default=0.0) or 1.0
    cells = []
    for layer in scan.layers:
        losses = [layer.loss(share, scan.top1) for share in shares]
        ratio = ratios[layer.path]
        cells.append([
            Cell(layer.path, tip="\n".join(layer.members)),
            Cell(str(layer.channels), layer.channels),
            *(_loss_cell(loss, layer.spreads.get(share), worst) for loss, share in zip(losses, shares, strict=True)),
            Cell(percent(ratio) if ratio else tr("protected"), ratio, ratio),
        ])  # fmt: skip
    return columns, cells


def _loss_cell(loss: float, spread: Spread | None, worst: float) -> Cell:
    """A loss with its interval on the bar and in words."""
    if spread is None:
        return Cell(_points(loss), loss, max(0.0, loss) / worst)
    tip = tr(
        "{low} to {high} points on {images} images (95 %)",
        low=_points(spread.high), high=_points(spread.low), images=spread.images,
    )  # fmt: skip
    sure = "" if spread.low > 0 or spread.high < 0 else "≈ "
    around = (max(0.0, spread.low) / worst, max(0.0, spread.high) / worst)
    return Cell(sure + _points(loss), loss, max(0.0, loss) / worst, tip=tip, around=around)


def _points(loss: float) -> str:
    sign = "−" if loss > 0.005 else "+" if loss < -0.005 else ""
    return f"{sign}{abs(loss):.2f}"


def _quantization(scan: QuantizeScan, count: int) -> tuple[Sequence[Column], list[list[Cell]]]:
    columns = (
        Column(tr("Layer"), tr("Its path in the network"), False, True),
        Column(tr("Rank"), tr("1 is the most sensitive")),
        Column(
            tr("Signal to noise [{unit}]", unit=scan.unit),
            tr("Of the logits when only this layer computes with integers"),
        ),
        Column(tr("Stays float"), tr("Among the most sensitive layers that are kept"), False),
    )
    whole = scan.extent.whole  # a part of a scan cannot say which layers are the most sensitive
    sensitivity = of_scan(scan)
    cells = []
    for rank, (name, value) in enumerate(scan.ranking, 1):
        precision = Cell(tr("✓ float"), 1.0) if rank <= count else Cell(tr("INT8"), 0.0)
        noise = _noise_cell(value, scan.spreads.get(name), sensitivity)
        cells.append([Cell(name), Cell(str(rank), rank), noise, *([precision] if whole else [])])
    return columns if whole else columns[:-1], cells


def _noise_cell(value: float, spread: Spread | None, sensitivity: Sensitivity) -> Cell:
    share = sensitivity.share(value)
    if spread is None or not math.isfinite(value):
        return Cell(f"{value:.2f}", value, share)
    tip = tr(
        "{low:.2f} to {high:.2f} dB on {images} images (95 %)",
        low=spread.low, high=spread.high, images=spread.images,
    )  # fmt: skip
    around = (sensitivity.share(spread.high), sensitivity.share(spread.low))
    return Cell(f"{value:.2f}", value, share, tip=tip, around=around)
