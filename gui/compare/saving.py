"""What is shown, for the clipboard and for files."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QUrl, Signal
from PySide6.QtGui import QAction, QDesktopServices, QKeySequence
from PySide6.QtWidgets import QFileDialog, QFrame, QHBoxLayout, QMenu, QPushButton, QWidget

from core.analysis.rows import Row
from core.common.control import RunControl
from core.comparison.figures import FIGURES, SUFFIXES
from core.comparison.report import as_format, as_html
from core.records.metrics import MetricKind
from core.runs.home import Home
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.compare.state import ComparisonState
from gui.widgets.buttons import ElidedLabel

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


class SavedBar(QFrame):
    """Says what was written, and opens it."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("saved-bar")
        self.setProperty("role", "fine")
        self._path = Path()
        self.words = ElidedLabel()
        self.words.setObjectName("saved-words")
        self.open, self.reveal, close = (
            QPushButton(tr("Open")), QPushButton(tr("Show in folder")), QPushButton(tr("Dismiss")),
        )  # fmt: skip
        for button, name in (
            (self.open, "saved-open"),
            (self.reveal, "saved-reveal"),
            (close, "saved-dismiss"),
        ):
            button.setObjectName(name)
        self.open.clicked.connect(lambda: self._show(self._path))
        self.reveal.clicked.connect(lambda: self._show(self._path.parent))
        close.clicked.connect(self.hide)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 6, 8, 6)
        row.setSpacing(8)
        row.addWidget(self.words, 1)
        for button in (self.open, self.reveal, close):
            row.addWidget(button)
        self.hide()

    def show_path(self, path: Path) -> None:
        """This was written."""
        self._path = path
        self.words.setText(tr("Written to {path}.", path=path))
        self.show()

    def _show(self, path: Path) -> None:
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))):
            self.words.setText(tr("No program answered. It lies at {path}.", path=path))

    def retheme(self) -> None:
        self.open.setIcon(theme.icon("report"))
        self.reveal.setIcon(theme.icon("folder"))


class FigureButton(QPushButton):
    """A menu of the figures for print. Signals: wanted (a file and the figure's name)."""

    wanted = Signal(object, str)

    def __init__(self) -> None:
        super().__init__(tr("Figure…"))
        self.setObjectName("save-figure")
        self.setAccessibleName(tr("Save a figure for print"))
        self.setToolTip(tr("A figure of these runs for print: SVG, PDF or PNG"))
        self.setProperty("hasmenu", True)
        menu = QMenu(self)
        self.figures: dict[str, QAction] = {}
        for name, (title, _) in FIGURES.items():
            self.figures[name] = menu.addAction(tr(title), lambda name=name: self._ask(name))
            self.figures[name].setObjectName(f"figure-{name}")
        self.setMenu(menu)

    def retheme(self) -> None:
        self.setIcon(theme.icon("save"))

    def _ask(self, name: str) -> None:
        chosen, kind = ask_for_figure(self, str(Path.home() / f"{name}.svg"))
        if chosen:
            ending = kind[-5:-1] if kind else ".svg"
            typed = Path(chosen).suffix.lower() in SUFFIXES
            self.wanted.emit(Path(chosen if typed else chosen + ending), name)


def ask_for_figure(parent: QWidget, start: str) -> tuple[str, str]:
    """Likewise for a figure."""
    kinds = (tr("SVG (*.svg)"), tr("PDF (*.pdf)"), tr("PNG (*.png)"))
    return QFileDialog.getSaveFileName(parent, tr("Save the figure"), start, ";;".join(kinds))


Make = Callable[[Home | None, RunControl | None], str]


def text_of(state: ComparisonState, rows: list[Row], kinds: list[MetricKind], form: str) -> Make:
    """A function that makes the text of what is shown now, to be called wherever there is time.

    It takes what `as_html` needs to show images; without them it shows none.
    """
    runs, axes, limits = list(state.runs), state.axes, dict(state.limits)
    shown_rows, shown_kinds = list(rows), list(kinds)

    def make(home: Home | None = None, control: RunControl | None = None) -> str:
        if form == "html":
            return as_html(runs, shown_rows, shown_kinds, axes, limits, home, control)
        return as_format(form, runs, shown_rows, shown_kinds)

    return make
