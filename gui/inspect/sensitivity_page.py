"""Which layers matter least: a sensitivity scan, its table, and a way into the editor."""

import math
from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (  # fmt: skip
    QDoubleSpinBox,
    QHBoxLayout,
    QPushButton,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.analysis.sensitivity import Spread, most_sensitive, ratios_text, suggested_ratios
from core.document.overrides import Target
from core.stages.base import ScanKind
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.inspect.send_row import SendRow
from gui.inspect.work import MOST_IMAGES, PruneScan, QuantizeScan, Scan, ScanRequest
from gui.widgets.bar_table import BarTable, Cell, Column
from gui.widgets.buttons import ElidedLabel, EmptyState, text
from gui.widgets.combo import Combo
from gui.widgets.progress_line import ProgressLine

_KINDS = (
    (QT_TR_NOOP("Pruning, inside of blocks"), ("prune", "block-internal")),
    (QT_TR_NOOP("Pruning, whole groups"), ("prune", "whole-groups")),
    (QT_TR_NOOP("Quantization to INT8"), ("quantize", "")),
)
_EMPTY = QT_TR_NOOP(
    "The scan takes each layer by itself and looks at what it costs: without some of its channels, or computed "
    "with integers. It uses validation images, changes nothing and can be stopped at any time. Its result can be "
    "sent into the pipeline as settings of single layers."
)


class SensitivityPage(QWidget):
    """Asks for a scan and shows what it found.

    Signals:
        scan_wanted: a `ScanRequest`. stop_wanted: give it up.
        send_wanted: where to in the open pipeline, and the text of the setting there.
    """

    scan_wanted = Signal(object)
    stop_wanted = Signal()
    send_wanted = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.scan: Scan | None = None
        self._targets: dict[ScanKind, list[Target]] = {}
        self._ratios: dict[str, float] = {}
        self.kind = Combo()
        self.kind.setObjectName("scan-kind")
        self.kind.setAccessibleName(tr("What is scanned"))
        for title, kind in _KINDS:
            self.kind.addItem(tr(title), kind)
        self.within = QDoubleSpinBox()
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
        self.start = QPushButton(tr("Scan"))
        self.start.setObjectName("scan-start")
        self.start.setProperty("primary", True)
        self.start.clicked.connect(self._start)
        self.working = ProgressLine("scan", tr("Progress of the scan"))
        self.working.stop_wanted.connect(self.stop_wanted)
        self.words = ElidedLabel()
        self.words.setObjectName("scan-words")
        self.table = BarTable("scan", tr("Sensitivity of every layer"))
        self.empty = EmptyState("scan", tr("Which layers can this network spare?"), tr(_EMPTY))
        self._build()
        self._reason = self._busy = ""
        self._update_enabled()
        self.retheme()
        self.show_scan(None)

    def _build(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(10)
        for widget in (text(tr("Scan for"), "section"), self.kind, self.within, self.start):
            top.addWidget(widget)
        top.addWidget(self.words, 1)
        results = QWidget()
        column = QVBoxLayout(results)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(self.table, 1)
        column.addWidget(self._sending())
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(results)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(top)
        layout.addWidget(self.working)
        layout.addWidget(self._stack, 1)

    def _sending(self) -> QWidget:
        self.loss = QDoubleSpinBox()
        self.loss.setObjectName("scan-loss")
        self.loss.setAccessibleName(tr("Points that each layer may lose by itself"))
        self.loss.setRange(0.0, 100.0)
        self.loss.setSingleStep(0.5)
        self.loss.setDecimals(2)
        self.loss.setValue(2.0)
        self.loss.setSuffix(tr(" points"))
        self.count = QSpinBox()
        self.count.setObjectName("scan-count")
        self.count.setAccessibleName(tr("How many of the most sensitive layers stay float"))
        self.count.setRange(1, 999)
        self.count.setValue(3)
        self.count.setSuffix(tr(" most sensitive layers"))
        self.rule = text()
        self.loss.valueChanged.connect(lambda _value: self._fill())
        self.count.valueChanged.connect(lambda _value: self._fill())
        self.sending = SendRow("scan", self.rule, self.loss, self.count)
        self.sending.wanted.connect(self._send)
        return self.sending

    def show_scan(self, scan: Scan | None) -> None:
        """Show what a scan found; None shows what one would do."""
        self.scan = scan
        self.working.end()
        self._stack.setCurrentIndex(0 if scan is None else 1)
        pruning = isinstance(scan, PruneScan)
        self.rule.setText(
            tr("Prune each layer as far as it loses at most") if pruning else tr("Keep in float the")
        )
        self.loss.setVisible(pruning)
        self.count.setVisible(not pruning)
        self.words.setText(_words(scan))
        self._fill()
        self._offer()

    def show_targets(self, targets: dict[ScanKind, list[Target]]) -> None:
        """Stages of the open pipeline that take such settings, by the kind of scan."""
        self._targets = targets
        self._offer()

    def allow(self, reason: str) -> None:
        """A scan can be asked for, unless there is a reason against it."""
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

    def _update_enabled(self) -> None:
        for widget in (self.kind, self.within):
            widget.setEnabled(not self._busy)
        self.start.setEnabled(not self._busy and not self._reason)
        self.start.setToolTip(self._reason or tr("Look at every layer by itself, on validation images"))

    def retheme(self) -> None:
        self.start.setIcon(theme.icon("search", "on_accent"))
        self.sending.retheme()
        self.table.viewport().update()

    def _show_unit(self) -> None:
        self.within.setSuffix(tr(" points") if self.kind.currentData()[0] == "prune" else " dB")

    def _start(self) -> None:
        kind, scope = self.kind.currentData()
        self.scan_wanted.emit(ScanRequest(kind, scope, self.within.value()))

    def _fill(self) -> None:
        if isinstance(self.scan, PruneScan):
            self._ratios = suggested_ratios(self.scan.layers, self.scan.top1, self.loss.value())
            columns, cells = _pruning(self.scan, self._ratios)
        elif isinstance(self.scan, QuantizeScan):
            self.count.setMaximum(max(1, len(self.scan.ranking)))
            columns, cells = _quantization(self.scan, self.count.value())
        else:
            return
        self.table.show_rows(columns, cells)

    def _offer(self) -> None:
        kind: ScanKind = "prune" if isinstance(self.scan, PruneScan) else "quantize"
        self.sending.offer(self._targets.get(kind, []), self.scan is not None)

    def _send(self, target: Target) -> None:
        if isinstance(self.scan, PruneScan):
            self.send_wanted.emit(target, ratios_text(self._ratios))
        elif isinstance(self.scan, QuantizeScan):
            names = (name for name, _ in self.scan.ranking)
            self.send_wanted.emit(target, most_sensitive(names, self.count.value()))


def _words(scan: Scan | None) -> str:
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
                tr("Without {percent}", percent=_percent(share)),
                tr(
                    "Change of validation accuracy in points with {percent} of its channels at zero",
                    percent=_percent(share),
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
            Cell(_percent(ratio) if ratio else "protected", ratio, ratio),
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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


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
    values = [value for _, value in scan.ranking]
    worst, harmless = values[0] if values else 0.0, values[3 * len(values) // 4] if values else 1.0
    cells = []
    for rank, (name, value) in enumerate(scan.ranking, 1):
        share, spread = _share(value, worst, harmless), scan.spreads.get(name)
        precision = Cell(tr("✓ float"), 1.0) if rank <= count else Cell(tr("INT8"), 0.0)
        cells.append(
            [Cell(name), Cell(str(rank), rank), _noise_cell(value, share, spread, worst, harmless), precision]
        )
    return columns, cells


def _share(value: float, worst: float, harmless: float) -> float:
    """How long the bar of a signal to noise is: the lower, the longer."""
    return max(0.0, (harmless - value) / (harmless - worst) if harmless != worst else 1.0)


def _noise_cell(value: float, share: float, spread: Spread | None, worst: float, harmless: float) -> Cell:
    if spread is None or not math.isfinite(value):
        return Cell(f"{value:.2f}", value, share)
    tip = tr(
        "{low:.2f} to {high:.2f} dB on {images} images (95 %)",
        low=spread.low, high=spread.high, images=spread.images,
    )  # fmt: skip
    around = (_share(spread.high, worst, harmless), _share(spread.low, worst, harmless))
    return Cell(f"{value:.2f}", value, share, tip=tip, around=around)
