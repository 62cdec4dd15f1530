"""A slider per metric: the worst value that still fits. What does not fit is greyed out everywhere."""

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QGridLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from core.analysis.pareto import fits, limit_words
from core.analysis.rows import Row
from core.records.metrics import MetricKind
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.value_boxes import Slider

_STEPS = 400


class LimitsPane(QScrollArea):
    """Signals: changed (metric id, the limit in the metric's own unit or None for no limit)."""

    changed = Signal(str, object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("limits")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.about = text("", "muted", wrap=True)
        self.clear = QPushButton(tr("Remove all limits"))
        self.clear.setObjectName("limits-clear")
        self.clear.clicked.connect(self._clear)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(5)
        self._grid.setColumnStretch(1, 1)
        inside = QWidget()
        inside.setProperty("role", "page")
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(2, 8, 8, 4)
        layout.addWidget(self.about)
        layout.addLayout(self._grid)
        layout.addWidget(self.clear, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addStretch(1)
        self.setWidget(inside)
        self.sliders: dict[str, _Limit] = {}

    def show_rows(
        self, rows: Sequence[Row], kinds: Sequence[MetricKind], limits: Mapping[str, float]
    ) -> None:
        """Offer a limit for every metric that differs between the rows."""
        spans = {kind.id: span for kind in kinds if kind.better and (span := _span(rows, kind))}
        if list(spans) != list(self.sliders):
            self._rebuild([kind for kind in kinds if kind.id in spans])
        for name, limit in self.sliders.items():
            limit.show_span(spans[name], limits.get(name))
        fitting = sum(fits(row, limits) for row in rows)
        self.about.setText(
            tr("{fitting} of {count} rows fit.", fitting=fitting, count=len(rows))
            if limits
            else tr("Say what the device allows. Rows and points that do not fit are greyed out.")
            if spans
            else tr("There is nothing to limit: the rows have the same figures.")
        )
        self.clear.setEnabled(bool(limits))
        self.clear.setVisible(bool(spans))

    def _rebuild(self, kinds: Sequence[MetricKind]) -> None:
        for limit in self.sliders.values():
            for widget in limit.widgets:
                widget.deleteLater()
        self.sliders = {kind.id: _Limit(kind, self.changed.emit) for kind in kinds}
        for row, limit in enumerate(self.sliders.values()):
            for column, widget in enumerate(limit.widgets):
                self._grid.addWidget(widget, row, column)

    def _clear(self) -> None:
        for name in list(self.sliders):
            self.changed.emit(name, None)


class _Limit:
    """The widgets of one limit; the end of the slider means no limit."""

    def __init__(self, kind: MetricKind, changed: Callable[[str, float | None], None]):
        self.kind, self._changed = kind, changed
        self._low = self._high = 0.0
        words = f"{kind.label} {limit_words(kind.id)}"
        self.label: QLabel = text(words)
        self.label.setToolTip(kind.help)
        self.unit = text(kind.shown_unit or kind.unit, "muted")
        self.slider = Slider()
        self.slider.setObjectName(f"limit-{kind.id}")
        self.slider.setAccessibleName(words)
        self.slider.setRange(0, _STEPS)
        self.slider.setMinimumWidth(110)
        self.slider.setInvertedAppearance(kind.better == "higher")
        self.slider.setInvertedControls(kind.better == "higher")
        self.slider.valueChanged.connect(self._slid)
        self.field = QLineEdit()
        self.field.setObjectName(f"limit-value-{kind.id}")
        self.field.setAccessibleName(tr("{limit}, as a number", limit=words))
        self.field.setPlaceholderText(tr("no limit"))
        self.field.setFixedWidth(92)
        self.field.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.field.editingFinished.connect(self._typed)
        self.widgets: tuple[QWidget, ...] = (self.label, self.slider, self.field, self.unit)

    def show_span(self, span: tuple[float, float], limit: float | None) -> None:
        self._low, self._high = span
        blocked = self.slider.blockSignals(True)
        self.slider.setValue(_STEPS if limit is None else self._position(limit))
        self.slider.blockSignals(blocked)
        if not self.field.hasFocus() or limit is None:
            self.field.setText("" if limit is None else self._words(limit))

    def _position(self, limit: float) -> int:
        """No limit stands at `_STEPS`, whichever way is better."""
        share = (limit - self._low) / (self._high - self._low)
        share = 1 - share if self.kind.better == "higher" else share
        return round(min(max(share, 0.0), 1.0) * _STEPS)

    def _slid(self, position: int) -> None:
        share = position / _STEPS
        share = 1 - share if self.kind.better == "higher" else share
        value = self._low + share * (self._high - self._low)
        self.field.setText("" if position == _STEPS else self._words(value))
        self._changed(self.kind.id, None if position == _STEPS else value)

    def _typed(self) -> None:
        text = self.field.text().replace(",", ".").replace("\u202f", "").strip()
        try:
            self._changed(self.kind.id, float(text) / self.kind.scale)
        except ValueError:
            self._changed(self.kind.id, None)

    def _words(self, limit: float) -> str:
        return f"{limit * self.kind.scale:.{self.kind.decimals}f}"


def _span(rows: Sequence[Row], kind: MetricKind) -> tuple[float, float] | None:
    values = [
        metric.value for row in rows if (metric := row.metrics.get(kind.id)) and metric.value is not None
    ]
    return (min(values), max(values)) if values and min(values) < max(values) else None
