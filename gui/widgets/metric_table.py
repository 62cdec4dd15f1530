"""The comparison table: figures with the change against the baseline below each.

A change has a sign, an arrow and a word for screen readers; colour only repeats them.
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, Qt
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import (  # fmt: skip
    QHeaderView,
    QStyleOptionViewItem,
    QTableView,
)

from core.analysis.interval_support import measurable, uncertain, wide
from core.analysis.rows import Row
from core.analysis.table import columns_with_values
from core.analysis.wording import (
    UNCERTAIN,
    change_text,
    format_change,
    format_metric,
    heading,
    provenance,
    verdict,
)
from core.records.metrics import METRICS, TABLE_COLUMNS, MetricKind
from core.stages.catalogue import remark_on
from gui.base.translation import tr
from gui.widgets.metric_cells import (  # fmt: skip
    BASELINE,
    CHANGE,
    LABEL_BELOW,
    OUTSIDE,
    UNSURE,
    VERDICT,
    Index,
    MetricDelegate,
    fonts,
)
from gui.widgets.tables import set_up_rows

_SCROLL_BAR = 18
_ROWS_SEEN = 3  # at least, where there are as many
_SHARE = 60  # pixels that a column of figures takes at most of what is left
_HEADING = 22  # around a heading's text
_WIDEST_LABEL = 300
_SHOWN = Qt.ItemDataRole.DisplayRole


class MetricModel(QAbstractTableModel):
    """Rows of `core.analysis.table` as a table model; the first column names the stage and its file."""

    def __init__(self, columns: Sequence[str] = TABLE_COLUMNS, fixed: bool = False):
        """`fixed`: show all `columns`, also those without a value."""
        super().__init__()
        self.rows: list[Row] = []
        self.kinds: list[MetricKind] = []
        self.outside: frozenset[str] = frozenset()
        self._finals: Mapping[str, str] | str = ""
        self._several = False
        self._columns, self._fixed = tuple(columns), fixed

    def show_rows(
        self,
        rows: Sequence[Row],
        final: str | Mapping[str, str] = "",
        kinds: Sequence[MetricKind] | None = None,
    ) -> None:
        """Show these rows.

        Args:
            final: id of the stage whose model is the result; by run folder where there are several.
            kinds: exactly these columns; otherwise the usual ones that have a value.
        """
        if kinds is None:
            usual = columns_with_values(rows, self._columns)
            kinds = [METRICS[name] for name in self._columns] if self._fixed else usual
        several = len({row.origin.folder for row in rows if row.origin}) > 1
        same = [kind.id for kind in kinds] == [kind.id for kind in self.kinds] and several == self._several
        self._finals = final
        if same and sorted(row.id for row in rows) == sorted(row.id for row in self.rows):
            self._reorder(rows)
            return
        self.beginResetModel()
        self.rows, self.kinds, self._several = list(rows), list(kinds), several
        self.endResetModel()

    def show_outside(self, ids: Iterable[str]) -> None:
        """Grey out the rows that do not fit the limits."""
        ids = frozenset(ids)
        if ids != self.outside:
            self.outside = ids
            self._all_changed()

    def row_of(self, id: str) -> int:
        """The place of the row `id`, -1 where it is not shown."""
        return next((n for n, row in enumerate(self.rows) if row.id == id), -1)

    def _reorder(self, rows: Sequence[Row]) -> None:
        """The same rows in another order or with other changes: selection and scrolling stay."""
        changed = {id(row) for row in rows} != {id(row) for row in self.rows}
        self.layoutAboutToBeChanged.emit()
        place = {row.id: number for number, row in enumerate(rows)}
        before = self.persistentIndexList()
        after = [self.index(place[self.rows[index.row()].id], index.column()) for index in before]
        self.rows = list(rows)
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()
        if changed:  # other changes below the figures can need more room
            self._all_changed()

    def _all_changed(self) -> None:
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(self.kinds)))

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
            return (
                heading(self.kinds[section - 1], [row.metrics for row in self.rows]).replace(" [", "\n[")
                if section
                else tr("Stage and file")
            )
        if role == Qt.ItemDataRole.ToolTipRole and section:
            return self.kinds[section - 1].help
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        if role == OUTSIDE:
            return row.id in self.outside
        if index.column() == 0:
            return self._label(row, role)
        kind = self.kinds[index.column() - 1]
        metric, change, paired = row.metrics.get(kind.id), row.change.get(kind.id), kind.id not in row.loose
        if role == UNSURE:
            return uncertain(kind.id, metric)
        if role == Qt.ItemDataRole.DisplayRole:
            mark = f"{UNCERTAIN} " if uncertain(kind.id, metric) else ""
            return mark + format_metric(kind, metric)
        if role == CHANGE:
            return change_text(change, paired)
        if role == VERDICT:
            return verdict(kind, change)
        if role == Qt.ItemDataRole.ToolTipRole:
            return provenance(kind, metric, change, paired)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            words = {"same": tr("no measurable difference"), "unsure": tr("cannot be told")}
            said = words.get(verdict(kind, change), verdict(kind, change))
            figure = format_metric(kind, metric) + (tr(", uncertain") if uncertain(kind.id, metric) else "")
            return f"{kind.label}: {figure} {format_change(change, paired)} {said}".strip()
        return None

    def _label(self, row: Row, role: int) -> Any:
        if role == Qt.ItemDataRole.DisplayRole:
            first = row.members[0].report if row.members else None
            return row.report.name + _seed(row) if row.report else first.name if first else row.label
        if role == BASELINE:
            return row.baseline
        if role == LABEL_BELOW:
            return " · ".join(self._below(row))
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            words = [self._label(row, Qt.ItemDataRole.DisplayRole), self._label(row, LABEL_BELOW)]
            words += (
                [tr("file {path}, {precision}", path=row.artefact.path, precision=row.artefact.precision)]
                if row.artefact
                else []
            )
            words += [tr("run {name}", name=row.origin.run)] if row.origin else []
            return "\n".join(word for word in words if word)
        return None

    def _below(self, row: Row) -> list[str]:
        artefact = row.artefact or (row.members[0].artefact if row.members else None)
        parts = [artefact.label] if artefact else []
        remark = remark_on(row.report.kind, row.report.facts) if row.report else ""
        parts += [remark] if remark else []
        parts += [tr("mean of {count} seeds", count=len(row.members))] if row.members else []
        parts += (
            ["baseline"] if row.baseline else [tr("against {name}", name=row.against)] if row.against else []
        )
        headline = (
            row.report is not None and row.artefact is not None and row.artefact.id == row.report.headline
        )
        parts += ["final"] if headline and row.report and row.report.id == self._final_of(row) else []
        parts += [tr("does not fit")] if row.id in self.outside else []
        return parts + ([row.origin.run] if self._several and row.origin else [])

    def _final_of(self, row: Row) -> str:
        if isinstance(self._finals, str):
            return self._finals
        return self._finals.get(row.origin.folder if row.origin else "", "")

    def widest(self, column: int) -> list[int]:
        """Rows among which is the one that needs most room in a column."""
        if column == 0:
            return self._longest_labels()
        name = self.kinds[column - 1].id
        keys = [self._widths(row, name) for row in self.rows]
        return [max(range(len(keys)), key=lambda row, part=part: keys[row][part]) for part in range(6)] if keys else []  # type: ignore[misc]  # fmt: skip

    def _longest_labels(self) -> list[int]:
        every = range(len(self.rows))
        lengths = [[len(self._label(row, role)) for row in self.rows] for role in (_SHOWN, LABEL_BELOW)]
        return [number for of in lengths for number in heapq.nlargest(4, every, key=of.__getitem__)]

    def _widths(self, row: Row, name: str) -> tuple[float, float, float, float, float, float]:
        metric, change = row.metrics.get(name), row.change.get(name)
        figure = abs(metric.value) if metric and metric.value is not None else -1.0
        moved = abs(change.value) if change and change.value is not None else -1.0
        unsure = moved if change is not None and not measurable(change) else -1.0
        spread = figure if metric is not None and metric.deviation else -1.0
        unsure_of = uncertain(name, metric) or (change is not None and wide(change))
        shown = (format_metric(METRICS[name], metric), change_text(change)) if unsure_of else ("",)
        ranged = float(max(map(len, shown)))  # the ends of a range are as long as they like
        return figure, moved, unsure, spread, moved if name in row.loose else -1.0, ranged


def _seed(row: Row) -> str:
    return tr(" · seed {seed}", seed=row.report.seed) if row.report and "@" in row.report.key else ""


class MetricTable(QTableView):
    """A table view set up for `MetricModel`."""

    def __init__(self, name: str, label: str, model: MetricModel, shrink: bool = False):
        """`shrink`: no higher than its rows need."""
        super().__init__()
        self._shrink = shrink
        self.own_widths: dict[str, int] = {}  # by metric id: what a person has dragged
        self.metrics = model
        self.setModel(model)
        self.setItemDelegate(MetricDelegate(self))
        set_up_rows(self, name, label, 50)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(False)
        self._hints: dict[int, int] = {}
        for signal in (model.modelReset, model.dataChanged, model.layoutChanged):
            signal.connect(lambda *_: self._hints.clear())
        model.modelReset.connect(self.fit_columns)
        model.dataChanged.connect(self.fit_columns)

    def sizeHintForColumn(self, column: int) -> int:
        """From the rows that can be the widest, so that hundreds of rows cost no more than a few."""
        if column in self._hints:
            return self._hints[column]
        option = QStyleOptionViewItem()
        self.initViewItemOption(option)
        delegate, model = self.itemDelegate(), self.metrics
        hints = [delegate.sizeHint(option, model.index(row, column)).width() for row in model.widest(column)]
        self._hints[column] = min(max(hints, default=40), _WIDEST_LABEL)
        return self._hints[column]

    def fit_columns(self, *_: object) -> None:
        """Give every column what it needs, or what a person gave it; share what is left, most of it to the first."""
        header, count = self.horizontalHeader(), self.metrics.columnCount()
        if self._shrink:
            rows = self.metrics.rowCount() * self.verticalHeader().defaultSectionSize()
            few = min(rows, _ROWS_SEEN * self.verticalHeader().defaultSectionSize())
            self.setMinimumHeight(header.sizeHint().height() + few + _SCROLL_BAR)
            self.setMaximumHeight(header.sizeHint().height() + rows + _SCROLL_BAR)
        chosen = [self.own_widths.get(self._name(column)) for column in range(count)]
        widths = [
            own or max(self.sizeHintForColumn(n), self._heading_width(n)) for n, own in enumerate(chosen)
        ]
        free = max(0, self.viewport().width() - sum(widths))
        figures = sum(own is None for own in chosen[1:])
        share = min(_SHARE, free // (figures + 2)) if figures else 0
        for column, own in enumerate(chosen):
            extra = share if column else free - share * figures
            self.setColumnWidth(column, own or widths[column] + extra)

    def _heading_width(self, column: int) -> int:
        words = str(self.metrics.headerData(column, Qt.Orientation.Horizontal))
        metrics = QFontMetrics(fonts(self.horizontalHeader().font())[0])
        return max(metrics.horizontalAdvance(line) for line in words.split("\n")) + _HEADING

    def _name(self, column: int) -> str:
        return self.metrics.kinds[column - 1].id if column else ""

    def resizeEvent(self, event: object) -> None:
        super().resizeEvent(event)  # type: ignore[arg-type]
        self.fit_columns()
