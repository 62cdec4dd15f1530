"""The verification as a ladder: from PyTorch down to the exported file, a rung for each step."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from core.records.reports import Verification
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.widgets.buttons import ElidedLabel, text

if TYPE_CHECKING:
    from core.export.verification_ladder import Rung

_ICON, _RAIL, _STEP = 20, 36, 16  # pixels: the sign, its column, and how far each rung stands to the right
_WIDTHS = (60, 80, 80, 84)
_HEADS = (
    (
        QT_TR_NOOP("Top-1"),
        QT_TR_NOOP("Right answers on the test images, and half the 95 % interval in points"),
    ),
    (
        QT_TR_NOOP("Agrees with\nstep before"),
        QT_TR_NOOP("Images on which this step and the one before name the same class"),
    ),
    (
        QT_TR_NOOP("Agrees with\nPyTorch"),
        QT_TR_NOOP("Images on which this step and the PyTorch network name the same class"),
    ),
    (
        QT_TR_NOOP("Largest logit\ndifference"),
        QT_TR_NOOP("Between this step and the PyTorch network, over all images and classes"),
    ),
)
_SIGNS = {
    "reference": ("network", "accent"),
    "good": ("done", "good"),
    "refused": ("error", "bad"),
    "waiting": ("waiting", "muted"),
}
_PENDING = QT_TR_NOOP("Exported file")


class LadderView(QWidget):
    """A row of heads and a row for each rung."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("export-ladder")
        self.setAccessibleName(tr("Verification, step by step"))
        self.setProperty("role", "page")
        self.rungs: Sequence[Rung] = ()
        self.pending = False
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._column.addWidget(_Row("", "", [tr(head) for head, _ in _HEADS], "", False, False))
        for label, (_, tip) in zip(self._row(0).values, _HEADS, strict=True):
            label.setToolTip(tr(tip))
        self._column.addStretch(1)

    def show_rungs(self, rungs: "Sequence[Rung]", pending: bool = False) -> None:
        """Show these; `pending` adds a last one that stands for the export to come."""
        self.rungs, self.pending = rungs, pending
        while self._column.count() > 2:
            item = self._column.takeAt(1)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.deleteLater()
        rows = [_row_of(rung, number, len(rungs) + pending) for number, rung in enumerate(rungs)]
        if pending and rungs:
            about = tr("for the export")
            rows.append(_Row(tr(_PENDING), about, ["—"] * 4, "waiting", True, False, len(rungs)))
        for number, row in enumerate(rows):
            self._column.insertWidget(number + 1, row)

    def lines(self) -> list[list[str]]:
        """What is written, row by row, the heads first."""
        return [self._row(number).texts for number in range(self._column.count() - 1)]

    def retheme(self) -> None:
        self.show_rungs(self.rungs, self.pending)

    def _row(self, number: int) -> "_Row":
        row = self._column.itemAt(number).widget()  # type: ignore[union-attr]
        assert isinstance(row, _Row)
        return row


class _Row(QFrame):
    """Sign, name, and four figures; all rows share the columns."""

    def __init__(
        self,
        label: str,
        about: str,
        values: Sequence[str],
        verdict: str,
        above: bool,
        below: bool,
        step: int = 0,
    ):
        """`above`, `below`: whether the ladder goes on there. `step`: how far down it stands."""
        super().__init__()
        self.texts = [label, *values, verdict]
        row = QHBoxLayout(self)
        row.setContentsMargins(step * _STEP, 0, 0, 0)
        row.setSpacing(6)
        sign = _Sign(verdict, above, below) if verdict else QLabel()
        sign.setFixedWidth(_RAIL)
        row.addWidget(sign)
        names = QVBoxLayout()
        names.setContentsMargins(0, 7, 0, 7)
        names.setSpacing(1)
        title = text(label, "heading", wrap=True)
        title.setObjectName("rung-title")
        words = ElidedLabel(f"{verdict.capitalize()} · {about}" if verdict else "")
        words.setProperty("role", {"refused": "problem"}.get(verdict, "help"))
        names.addWidget(title)
        names.addWidget(words)
        row.addLayout(names, 1)
        self.values = [text(words, "" if verdict else "help") for words in values]
        for value, width in zip(self.values, _WIDTHS, strict=True):
            value.setFixedWidth(width)
            value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            row.addWidget(value)
        heads = (tr(head).replace("\n", " ") for head, _ in _HEADS)
        figures = ", ".join(f"{head} {value}" for head, value in zip(heads, values, strict=True))
        self.setAccessibleName(f"{label}: {verdict}, {figures}" if verdict else tr("Heads of the columns"))


class _Sign(QWidget):
    """The rung's sign on the rail that leads from the rung before to the next."""

    def __init__(self, verdict: str, above: bool, below: bool):
        super().__init__()
        self._verdict, self._above, self._below = verdict, above, below

    def paintEvent(self, event: QPaintEvent) -> None:
        c, painter = theme.colours(), QPainter(self)
        middle, half = self.rect().center(), _ICON // 2 + 3
        waiting = Qt.PenStyle.DotLine if self._verdict == "waiting" else Qt.PenStyle.SolidLine
        if self._above:
            painter.setPen(QPen(QColor(c.strong_border), 2, waiting))
            painter.drawLine(middle.x(), 0, middle.x(), middle.y() - half)
        if self._below:
            painter.setPen(QPen(QColor(c.strong_border), 2))
            painter.drawLine(middle.x(), middle.y() + half, middle.x(), self.height())
            painter.drawLine(middle.x(), self.height() - 1, middle.x() + _STEP, self.height() - 1)
        name, colour = _SIGNS[self._verdict]
        picture = theme.pixmap(name, colour, _ICON, self.devicePixelRatioF())
        place = QRect(0, 0, _ICON, _ICON)
        place.moveCenter(middle)
        painter.drawPixmap(place, picture)
        painter.end()


def _row_of(rung: "Rung", number: int, total: int) -> _Row:
    verdict = "reference" if rung.network is None else "good" if rung.good else "refused"
    values = [_top1(rung), _agreement(rung.before), _agreement(rung.network), _difference(rung.network)]
    row = _Row(rung.label, rung.runtime, values, verdict, number > 0, number + 1 < total, number)
    row.setToolTip(rung.sentence)
    return row


def _top1(rung: "Rung") -> str:
    top1 = rung.top1
    if top1.value is None:
        return "—"
    if top1.low is None or top1.high is None:
        return f"{top1.value:.2f} %"
    return f"{top1.value:.2f} %\n± {(top1.high - top1.low) / 2:.1f}"


def _agreement(verification: Verification | None) -> str:
    return "—" if verification is None else f"{verification.agreement:.2f} %"


def _difference(verification: Verification | None) -> str:
    return "—" if verification is None else f"{verification.max_logit_difference:.2g}"
