"""The layer table: type, parameters, MACs and time of every layer of the exported file."""

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from gui.base import theme
from gui.base.translation import tr
from gui.inspect.sensitivity import Sensitivity
from gui.widgets.bar_table import BarTable, Cell, Column, count_cell
from gui.widgets.buttons import ElidedLabel
from gui.widgets.progress_line import ProgressLine
from gui.widgets.search_box import SearchBox

_PRECISIONS = {"float32": "float32", "float16": "float16", "int8": "INT8", "int4": "INT4", "int16": "INT16"}


class LayersPage(QWidget):
    """The table with a search field above it.

    Signals:
        measure_wanted: time the layers again.
        layer_wanted: the path of a layer whose distributions are to be shown.
    """

    measure_wanted = Signal()
    layer_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._profile: dict[str, Any] | None = None
        self._stored, self._sensitivity = "", None  # type: tuple[str, Sensitivity | None]
        self._reasons: dict[str, str] = {}
        self.paths: list[str] = []
        self.search = SearchBox(
            "layers-search", tr("Search layers"), tr("Search layers by name, type or precision")
        )
        self.search.setMaximumWidth(320)
        self.measure = QPushButton(tr("Measure again"))
        self.measure.setObjectName("layers-measure")
        self.measure.clicked.connect(self.measure_wanted)
        self.allow_measuring("")
        self.words = ElidedLabel()
        self.words.setObjectName("layers-words")
        self.words.setProperty("role", "muted")
        self.working = ProgressLine("layers", tr("Progress of the measurement"))
        self.table = BarTable("layers", tr("Layers of the exported file"))
        self.table.doubleClicked.connect(lambda _index: self._open())
        self.search.textChanged.connect(self.table.search)
        top = QHBoxLayout()
        top.setSpacing(10)
        top.addWidget(self.search, 2)
        top.addWidget(self.words, 3)
        top.addWidget(self.measure)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 10, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(top)
        layout.addWidget(self.working)
        layout.addWidget(self.table, 1)
        self.clear()

    def clear(self) -> None:
        """Nothing is known yet."""
        self._profile = None
        self.paths = []
        self.table.show_rows((), ())
        self.words.setText("")

    def show_layers(
        self,
        profile: dict[str, Any],
        stored: str,
        sensitivity: Sensitivity | None,
        reasons: Mapping[str, str] | None = None,
    ) -> None:
        """Show what `core.profiling.per_layer` found.

        Args:
            stored: the precision that the file is stored in.
            reasons: why the stage left layers alone, by their path.
        """
        self._profile, self._stored, self._sensitivity = profile, stored, sensitivity
        self._reasons = dict(reasons or {})
        layers = profile["layers"]
        self.paths = [layer["layer"] for layer in layers]
        largest = {
            name: max((layer[name] or 0 for layer in layers), default=0) or 1
            for name in ("params", "macs", "ms")
        }
        columns, cells = self._columns(), []
        for layer in layers:
            cells.append(self._cells(layer, largest))
        self.table.show_rows(columns, cells)
        self.words.setText(summary(profile, stored))

    def show_sensitivity(self, sensitivity: Sensitivity | None) -> None:
        """Show (or take away) the column of sensitivities."""
        if self._profile is not None:
            self.show_layers(self._profile, self._stored, sensitivity, self._reasons)

    def allow_measuring(self, reason: str) -> None:
        """Measuring can be asked for, unless there is a reason against it."""
        self.measure.setEnabled(not reason)
        self.measure.setToolTip(reason or tr("Time every layer of this file once more"))

    def retheme(self) -> None:
        self.measure.setIcon(theme.icon("running"))
        self.table.viewport().update()

    def _columns(self) -> Sequence[Column]:
        columns = [
            Column(
                tr("Layer"),
                tr("Its path in the network; a double click shows its distributions"),
                False,
                True,
            ),
            Column(tr("Type"), tr("What it computes"), False),
            Column(tr("Shape"), tr("Channels in → out"), False),
            Column(tr("Output"), tr("Channels × height × width for one image"), False),
            Column(tr("Parameters"), tr("Weights and biases in the file, batch norms folded in")),
            Column(tr("MACs"), tr("Multiply-accumulates for one image")),
            Column(tr("Time [ms]"), tr("Median of its kernels for one image, by ONNX Runtime's profiler")),
            Column(tr("Ran in"), tr("The number format that its kernels computed with"), False),
        ]
        if self._sensitivity is not None:
            columns.append(
                Column(tr("Sensitivity [{unit}]", unit=self._sensitivity.unit), self._sensitivity.source)
            )
        return columns

    def _cells(self, layer: dict[str, Any], largest: Mapping[str, float]) -> list[Cell]:
        ms = layer["ms"]
        tip = (
            tr("Ran as: {listed}", listed=_listed(layer["kernels"]))
            if layer["kernels"]
            else tr("Not measured yet")
        )
        cells = [
            Cell(layer["layer"]),
            Cell(layer["type"]),
            Cell(layer["shape"]),
            Cell(" × ".join(str(side) for side in layer["output"])),
            count_cell(layer["params"], largest["params"]),
            count_cell(layer["macs"], largest["macs"]),
            Cell("—", None, None, "", tip)
            if ms is None
            else Cell(f"{ms:.3f}", ms, ms / largest["ms"], "", tip),
            self._precision(layer, tip),
        ]
        if self._sensitivity is not None:
            value = self._sensitivity.values.get(layer["layer"])
            cells.append(
                Cell("—") if value is None else Cell(f"{value:.2f}", value, self._sensitivity.share(value))
            )
        return cells

    def _precision(self, layer: dict[str, Any], tip: str) -> Cell:
        words = _PRECISIONS.get(layer["precision"], layer["precision"]) or "—"
        if layer["fallback"]:
            reason = self._reasons.get(layer["layer"], tr("others in this file are INT8"))
            return Cell(
                f"⚠ {words}",
                None,
                None,
                "warning",
                tr("Computed in float: {reason}.\n{tip}", reason=reason, tip=tip),
            )
        return Cell(words, tip=tip)

    def _open(self) -> None:
        row = self.table.current()
        if row >= 0 and self._profile is not None and self._profile["layers"][row]["params"]:
            self.layer_wanted.emit(self.paths[row])


def _listed(kernels: Sequence[str]) -> str:
    return " + ".join(f"{kernels.count(name)} × {name}" if kernels.count(name) > 1 else name for name in dict.fromkeys(kernels))  # fmt: skip


def summary(profile: dict[str, Any], stored: str) -> str:
    """What the table adds up to, and what a person would not expect."""
    parts = []
    layers = profile["layers"]
    if profile["total_ms"] is not None:
        many = profile["threads"] > 1
        threads = tr("{count} threads", count=profile["threads"]) if many else tr("1 thread")
        parts.append(
            tr(
                "{ms:.3f} ms in all, {runs} runs, {threads}",
                ms=profile["total_ms"],
                runs=profile["runs"],
                threads=threads,
            )
        )
    if profile["fallbacks"]:
        weighted = sum(1 for layer in layers if layer["macs"])
        names = ", ".join(profile["fallbacks"][:3]) + (", …" if len(profile["fallbacks"]) > 3 else "")
        parts.append(
            tr(
                "⚠ {count} of {weighted} layers compute in float: {names}",
                count=len(profile["fallbacks"]),
                weighted=weighted,
                names=names,
            )
        )
    computed = {layer["precision"] for layer in layers if layer["macs"] and layer["precision"]}
    if stored == "float16" and computed == {"float32"}:
        parts.append(tr("⚠ stored in float16, computed in float32 on this processor"))
    total = sum(layer["macs"] for layer in layers)
    parts.append(
        tr(
            "{value} layers with weights, {total:.1f} M MACs",
            value=sum(1 for layer in layers if layer["params"]),
            total=total / 1e6,
        )
    )
    return " · ".join(parts)
