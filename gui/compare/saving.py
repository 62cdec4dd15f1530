"""What is shown, for the clipboard and for files."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from core.analysis.rows import Row
from core.comparison.report import as_format, as_html
from core.records.metrics import MetricKind
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.compare.state import ComparisonState

NAMES = {"csv": "CSV", "markdown": "Markdown", "latex": "LaTeX"}
_COPIES = (("csv", QT_TR_NOOP("As CS&V, every metric"), ""), ("markdown", QT_TR_NOOP("As &Markdown"), "Ctrl+Shift+C"), ("latex", QT_TR_NOOP("As &LaTeX"), ""))  # fmt: skip
_FILES = {
    QT_TR_NOOP("Web page, standalone (*.html)"): "html",
    QT_TR_NOOP("LaTeX table (*.tex)"): "latex",
    QT_TR_NOOP("Markdown (*.md)"): "markdown",
    QT_TR_NOOP("CSV (*.csv)"): "csv",
}
_SUFFIXES = {"html": ".html", "latex": ".tex", "markdown": ".md", "csv": ".csv"}


class CopyButton(QPushButton):
    """Signals: wanted ("csv", "markdown" or "latex")."""

    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__(tr("Copy"))
        self.setObjectName("copy-table")
        self.setAccessibleName(tr("Copy the table"))
        self.setToolTip(tr("Copy the rows and columns that are shown"))
        self.setProperty("hasmenu", True)
        menu = QMenu(self)
        self.forms: dict[str, QAction] = {}
        for form, words, key in _COPIES:
            action = menu.addAction(tr(words), lambda form=form: self.wanted.emit(form))
            action.setObjectName(f"copy-{form}")
            action.setShortcut(QKeySequence(key))
            self.forms[form] = action
        self.setMenu(menu)

    def retheme(self) -> None:
        self.setIcon(theme.icon("copy"))


class SaveButton(QPushButton):
    """Signals: wanted (a file and its format)."""

    wanted = Signal(object, str)

    def __init__(self) -> None:
        super().__init__(tr("Save report…"))
        self.setObjectName("save-report")
        self.setAccessibleName(tr("Save a report"))
        self.setToolTip(tr("One file with table, plots, settings and notes: HTML, LaTeX, Markdown or CSV"))
        self.clicked.connect(self._ask)

    def retheme(self) -> None:
        self.setIcon(theme.icon("report"))

    def _ask(self) -> None:
        start = str(Path.home() / "comparison.html")
        chosen, kind = ask_for_file(self, start)
        if chosen:
            typed_format = next((form for form, suffix in _SUFFIXES.items() if chosen.endswith(suffix)), "")
            form = typed_format or _FILES.get(kind, "html")
            self.wanted.emit(Path(chosen if typed_format else f"{chosen}{_SUFFIXES[form]}"), form)


def ask_for_file(parent: QWidget, start: str) -> tuple[str, str]:
    """A file to write to and the chosen filter; "" when the dialog was closed."""
    return QFileDialog.getSaveFileName(parent, tr("Save the report"), start, ";;".join(map(tr, _FILES)))


def text_of(state: ComparisonState, rows: list[Row], kinds: list[MetricKind], form: str) -> Callable[[], str]:
    """A function that makes the text of what is shown now, to be called wherever there is time."""
    runs, axes, limits = list(state.runs), state.axes, dict(state.limits)
    shown_rows, shown_kinds = list(rows), list(kinds)

    def make() -> str:
        if form == "html":
            return as_html(runs, shown_rows, shown_kinds, axes, limits)
        return as_format(form, runs, shown_rows, shown_kinds)

    return make
