"""The strip below the list: what still keeps the pipeline from running; a click leads there."""

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from core.common.errors import Problem
from core.document.fixes import Fix
from core.document.pipeline import Pipeline
from core.document.problem_place import place_in_words
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import as_written, text

_SHOWN, _SHOWN_LOW = 4, 2  # problems, also in a low window


class ProblemStrip(QFrame):
    """Hidden while there is nothing to say.

    Args:
        fix_of: what mends a problem by itself, or None.

    Signals:
        chosen: the problem that a person wants to see.
        mended: the fix that a person takes.
    """

    chosen = Signal(object)
    mended = Signal(object)

    def __init__(self, fix_of: Callable[[Problem], Fix | None]) -> None:
        super().__init__()
        self._fix_of = fix_of
        self.setObjectName("problems")
        self.setProperty("role", "problems")
        self.setAccessibleName(tr("Problems"))
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 10, 14, 10)
        row.setSpacing(12)
        self._icon = QLabel()
        row.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        self._column = QVBoxLayout()
        self._column.setSpacing(2)
        row.addLayout(self._column, 1)
        self.heading = text("", "heading")
        self._column.addWidget(self.heading)
        self._lines: list[QWidget] = []
        self.fix_buttons: list[QPushButton] = []
        self._rows: list[QWidget] = []
        self._shown = _SHOWN
        self._problems: list[Problem] = []
        self._pipeline: Pipeline | None = None

    def set_low(self, low: bool) -> None:
        """Whether the window is low: fewer problems at a time."""
        shown = _SHOWN_LOW if low else _SHOWN
        if shown != self._shown:
            self._shown = shown
            if self._pipeline is not None:
                self.show_problems(self._problems, self._pipeline)

    def show_problems(self, problems: list[Problem], pipeline: Pipeline) -> None:
        """Show the first few of these, each with where it is."""
        self._problems, self._pipeline = problems, pipeline
        for widget in self._rows:
            self._column.removeWidget(widget)
            widget.hide()
            widget.deleteLater()
        self._lines, self._rows, self.fix_buttons = [], [], []
        self.setVisible(bool(problems))
        self._icon.setPixmap(theme.pixmap("error", "bad", 22, self.devicePixelRatioF()))
        count = len(problems)
        self.heading.setText(
            tr("{count} problems keep this pipeline from running", count=count)
            if count > 1
            else tr("One problem keeps this pipeline from running")
        )
        for number, problem in enumerate(problems[: self._shown]):
            self._rows.append(self._row(number, problem, place_in_words(problem, pipeline)))
        if count > self._shown:
            self._rows.append(text(tr("… and {count} more", count=count - self._shown), "muted"))
        for row in self._rows:
            self._column.addWidget(row)

    def _row(self, number: int, problem: Problem, where: str) -> QWidget:
        """A link to where the problem is, and the button that mends it."""
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        words = f"{where}: {problem.message} {problem.advice}".strip()
        link = LinkLabel(words)
        link.setObjectName(f"problem-link-{number}")
        link.setToolTip(tr("Go there: {words}", words=words))
        link.clicked.connect(lambda _=False, problem=problem: self.chosen.emit(problem))
        self._lines.append(link)
        line.addWidget(link, 1)
        fix = self._fix_of(problem)
        if fix is not None:
            button = QPushButton(theme.icon("mend"), as_written(fix.words))
            button.setObjectName(f"problem-fix-{number}")
            button.setProperty("role", "mend")
            button.setToolTip(tr("Change the pipeline so; Undo takes it back"))
            button.clicked.connect(lambda _=False, fix=fix: self.mended.emit(fix))
            self.fix_buttons.append(button)
            line.addWidget(button)
        return row


class LinkLabel(QPushButton):
    """A button that looks like a link, as long as it fits; the whole is its tooltip."""

    def __init__(self, words: str):
        super().__init__(words)
        self.setProperty("role", "link")
        self.setAccessibleName(words)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._words = words

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        room = self.width() - 12
        self.setText(self.fontMetrics().elidedText(self._words, Qt.TextElideMode.ElideRight, room))

    def text(self) -> str:
        """The whole sentence, however much of it is shown."""
        return self._words
