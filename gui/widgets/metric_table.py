"""The comparison table: figures with the change against the baseline below each.

A change has a sign, an arrow and a word for screen readers; colour only repeats them.
"""

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter
from PySide6.QtWidgets import (  # fmt: skip
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from core.analysis.table import Row, columns_with_values, heading, measurable, shown, shown_change
from core.metrics import METRICS, TABLE_COLUMNS, MetricKind
from core.reports import Metric
from gui import theme

_SCROLL_BAR = 18
_SHARE = 60  # pixels that a column of figures takes at most of what is left

Index = QModelIndex | QPersistentModelIndex
CHANGE, VERDICT, LABEL_BELOW = (
    Qt.ItemDataRole.UserRole,
    Qt.ItemDataRole.UserRole + 1,
    Qt.ItemDataRole.UserRole + 2,
)


def verdict(kind: MetricKind, change: Metric | None) -> str:
    """ "better", "worse", "same" (no measurable difference) or "" where neither applies."""
    if change is None or change.value is None or not kind.better:
        return ""
    if not measurable(change) or _rounds_to_nothing(change):
        return "same"
    return "better" if (change.value > 0) == (kind.better == "higher") else "worse"


class MetricModel(QAbstractTableModel):
    """Rows of `core.analysis.table` as a table model; the first column names the stage and its file."""

    def __init__(self, columns: Sequence[str] = TABLE_COLUMNS, fixed: bool = False):
        """`fixed`: show all `columns`, also those without a value."""
        super().__init__()
        self.rows: list[Row] = []
        self.kinds: list[MetricKind] = []
        self.final = ""
        self._columns, self._fixed = tuple(columns), fixed

    def show_rows(self, rows: Sequence[Row], final: str = "") -> None:
        """Show these; `final` is the id of the stage whose model is the result."""
        self.beginResetModel()
        self.rows, self.final = list(rows), final
        self.kinds = (
            [METRICS[name] for name in self._columns]
            if self._fixed
            else columns_with_values(rows, self._columns)
        )
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 1 + len(self.kinds)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return heading(self.kinds[section - 1]).replace(" [", "\n[") if section else "Stage and file"
        if role == Qt.ItemDataRole.ToolTipRole and section:
            return self.kinds[section - 1].help
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        if index.column() == 0:
            return self._label(row, role)
        kind = self.kinds[index.column() - 1]
        metric, change = row.metrics.get(kind.id), row.change.get(kind.id)
        if role == Qt.ItemDataRole.DisplayRole:
            return shown(kind, metric)
        if role == CHANGE:
            return change_text(change)
        if role == VERDICT:
            return verdict(kind, change)
        if role == Qt.ItemDataRole.ToolTipRole:
            return provenance(kind, metric, change)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            words = {"same": "no measurable difference"}.get(verdict(kind, change), verdict(kind, change))
            return f"{kind.label}: {shown(kind, metric)} {shown_change(change)} {words}".strip()
        return None

    def _label(self, row: Row, role: int) -> Any:
        if role == Qt.ItemDataRole.DisplayRole:
            return row.report.name + _seed(row) if row.report else row.label
        if role == LABEL_BELOW:
            parts = [row.artefact.label] if row.artefact else []
            parts += ["baseline"] if row.baseline else []
            headline = (
                row.report is not None and row.artefact is not None and row.artefact.id == row.report.headline
            )
            parts += ["final"] if headline and row.report is not None and row.report.id == self.final else []
            return " · ".join(parts)
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            words = [self._label(row, Qt.ItemDataRole.DisplayRole), self._label(row, LABEL_BELOW)]
            words += [f"file {row.artefact.path}, {row.artefact.precision}"] if row.artefact else []
            return "\n".join(word for word in words if word)
        return None


def _seed(row: Row) -> str:
    return f" · seed {row.report.seed}" if row.report and "@" in row.report.key else ""


def change_text(change: Metric | None) -> str:
    """A change with an arrow for its direction: "▼ −34.0 %"; "≈" stands where nothing is measurable."""
    text = shown_change(change)
    if not text or change is None or change.value is None or text.startswith("≈"):
        return text
    if _rounds_to_nothing(change):
        return f"= 0 {change.unit}"
    return f"{'▲' if change.value > 0 else '▼'} {text}"


def _rounds_to_nothing(change: Metric) -> bool:
    return change.value is not None and abs(change.value) < (0.005 if change.unit == "points" else 0.05)


def provenance(kind: MetricKind, metric: Metric | None, change: Metric | None) -> str:
    """Where a figure comes from: definition, value, interval, n, how."""
    lines = [f"{kind.label}: {kind.help}"]
    if metric is None or metric.value is None:
        lines.append(f"Not available{': ' + metric.how if metric is not None and metric.how else ''}.")
        return "\n".join(lines)
    value = f"{metric.value:.6g} {metric.unit}".strip()
    level = f"{metric.level * 100:g} % interval" if metric.level else "interval"
    if metric.low is not None and metric.high is not None:
        value += f"  ({level} {metric.low:.6g} to {metric.high:.6g})"
    lines.append(value + (f", n = {metric.n}" if metric.n is not None else ""))
    if metric.how:
        lines.append(metric.how)
    if change is not None and change.value is not None:
        words = f"Change against the baseline: {shown_change(change)}"
        if change.low is not None and change.high is not None:
            words += f", interval {change.low:+.4g} to {change.high:+.4g} {change.unit}"
        lines.append(words + (f", n = {change.n}" if change.n is not None else ""))
        lines.append(
            {
                "better": "Better than the baseline.",
                "worse": "Worse than the baseline.",
                "same": "No measurable difference.",
            }.get(verdict(kind, change), "")
        )
        lines += [change.how] if change.how else []
    return "\n".join(line for line in lines if line)


class MetricDelegate(QStyledItemDelegate):
    """Two lines a cell: the figure, and its change below."""

    PAD = 10

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        big, small = self._fonts(option)
        first = QFontMetrics(big if index.column() == 0 else option.font).horizontalAdvance(str(index.data()))
        below = index.data(CHANGE if index.column() else LABEL_BELOW) or ""
        second = QFontMetrics(small).horizontalAdvance(below)
        return QSize(max(first, second) + 2 * self.PAD + 2, 50)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        c = theme.colours()
        painter.save()
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect, QColor(c.selection))
        painter.setPen(QColor(c.border))
        painter.drawLine(option.rect.bottomLeft(), option.rect.bottomRight())
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setPen(QColor(c.accent))
            painter.drawRect(option.rect.adjusted(0, 0, -1, -1))
        big, small = self._fonts(option)
        below = index.data(CHANGE if index.column() else LABEL_BELOW) or ""
        colour = {"better": c.good, "worse": c.bad}.get(index.data(VERDICT) or "", c.muted)
        self._line(
            painter,
            option.rect,
            index,
            str(index.data()),
            big if index.column() == 0 else option.font,
            c.text,
            0 if below else None,
        )
        if below:
            self._line(painter, option.rect, index, below, small, colour, 1)
        painter.restore()

    def _line(
        self,
        painter: QPainter,
        rect: QRect,
        index: Index,
        text: str,
        font: QFont,
        colour: str,
        line: int | None,
    ) -> None:
        inside = rect.adjusted(self.PAD, 6, -self.PAD, -6)
        if line is not None:
            half = inside.height() // 2
            inside = QRect(inside.left(), inside.top() + line * half, inside.width(), half)
        side = Qt.AlignmentFlag.AlignRight if index.column() else Qt.AlignmentFlag.AlignLeft
        painter.setFont(font)
        painter.setPen(QColor(colour))
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, inside.width())
        painter.drawText(inside, side | Qt.AlignmentFlag.AlignVCenter, shown)

    def _fonts(self, option: QStyleOptionViewItem) -> tuple[QFont, QFont]:
        big, small = QFont(option.font), QFont(option.font)
        big.setWeight(QFont.Weight.DemiBold)
        small.setPointSizeF(option.font.pointSizeF() * 0.9)
        return big, small


class MetricTable(QTableView):
    """A table view set up for `MetricModel`."""

    def __init__(self, name: str, label: str, model: MetricModel, shrink: bool = False):
        """`shrink`: no higher than its rows need."""
        super().__init__()
        self._shrink = shrink
        self.setObjectName(name)
        self.setAccessibleName(label)
        self.metrics = model
        self.setModel(model)
        self.setItemDelegate(MetricDelegate(self))
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(50)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(False)
        model.modelReset.connect(self.fit_columns)

    def fit_columns(self) -> None:
        """Give every column what it needs; share what is left, most of it to the first."""
        self.resizeColumnsToContents()
        if self._shrink:
            rows = self.metrics.rowCount() * self.verticalHeader().defaultSectionSize()
            self.setMaximumHeight(self.horizontalHeader().sizeHint().height() + rows + _SCROLL_BAR)
        header, count = self.horizontalHeader(), self.metrics.columnCount()
        free = self.viewport().width() - sum(header.sectionSize(column) for column in range(count))
        if count < 2 or free <= 0:
            return
        share = min(_SHARE, free // (count + 1))
        for column in range(1, count):
            self.setColumnWidth(column, header.sectionSize(column) + share)
        self.setColumnWidth(0, header.sectionSize(0) + free - share * (count - 1))

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self.fit_columns()
