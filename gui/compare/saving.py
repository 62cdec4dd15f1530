"""What is shown, for the clipboard and for files."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QFileDialog, QMenu, QPushButton, QWidget

from core.analysis.table import Row
from core.comparison_report import as_format, as_html
from core.metrics import MetricKind
from gui import theme
from gui.compare.state import DeskState

NAMES = {"csv": "CSV", "markdown": "Markdown", "latex": "LaTeX"}
_COPIES = (("csv", "As CS&V, every metric", ""), ("markdown", "As &Markdown", "Ctrl+Shift+C"), ("latex", "As &LaTeX", ""))  # fmt: skip
_FILES = {
    "Web page, standalone (*.html)": "html",
    "LaTeX table (*.tex)": "latex",
    "Markdown (*.md)": "markdown",
    "CSV (*.csv)": "csv",
}
_SUFFIXES = {"html": ".html", "latex": ".tex", "markdown": ".md", "csv": ".csv"}


class CopyButton(QPushButton):
    """Signals: wanted ("csv", "markdown" or "latex")."""

    wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__("Copy")
        self.setObjectName("copy-table")
        self.setAccessibleName("Copy the table")
        self.setToolTip("Copy the rows and columns that are shown")
        self.setProperty("hasmenu", True)
        menu = QMenu(self)
        self.forms: dict[str, QAction] = {}
        for form, words, key in _COPIES:
            action = menu.addAction(words, lambda form=form: self.wanted.emit(form))
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
        super().__init__("Save report…")
        self.setObjectName("save-report")
        self.setAccessibleName("Save a report")
        self.setToolTip("One file with table, plots, settings and notes: HTML, LaTeX, Markdown or CSV")
        self.clicked.connect(self._ask)

    def retheme(self) -> None:
        self.setIcon(theme.icon("report"))

    def _ask(self) -> None:
        start = str(Path.home() / "comparison.html")
        chosen, kind = ask_for_file(self, start)
        if chosen:
            given = next((form for form, suffix in _SUFFIXES.items() if chosen.endswith(suffix)), "")
            form = given or _FILES.get(kind, "html")
            self.wanted.emit(Path(chosen if given else f"{chosen}{_SUFFIXES[form]}"), form)


def ask_for_file(parent: QWidget, start: str) -> tuple[str, str]:
    """A file to write to and the chosen filter; "" when the dialog was closed."""
    return QFileDialog.getSaveFileName(parent, "Save the report", start, ";;".join(_FILES))


def text_of(state: DeskState, rows: list[Row], kinds: list[MetricKind], form: str) -> Callable[[], str]:
    """A function that makes the text of what is shown now, to be called wherever there is time."""
    runs, axes, limits = list(state.runs), state.axes, dict(state.limits)
    shown_rows, shown_kinds = list(rows), list(kinds)

    def make() -> str:
        if form == "html":
            return as_html(runs, shown_rows, shown_kinds, axes, limits)
        return as_format(form, runs, shown_rows, shown_kinds)

    return make
