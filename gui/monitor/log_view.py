"""The log of a run: filtered by level and by words, which are marked; copied as text."""

from collections.abc import Mapping, Sequence
from html import escape

from PySide6.QtCore import QRegularExpression, Qt
from PySide6.QtGui import QColor, QGuiApplication, QKeySequence, QShortcut, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QTextEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.runs.run_state import LogLine, StageState
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.search_box import SearchBox

LEVELS = (
    ("info", QT_TR_NOOP("Everything")),
    ("warning", QT_TR_NOOP("Warnings")),
    ("error", QT_TR_NOOP("Failures")),
)
_RANK = {name: rank for rank, (name, _title) in enumerate(LEVELS)}
_MARKS = {"warning": QT_TR_NOOP("⚠ Warning: "), "error": QT_TR_NOOP("✖ Failed: ")}
_LINES = 5000


class LogView(QWidget):
    """Shows the lines it is given; `show_lines` adds those that are new."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[LogLine] = []
        self._names: dict[str, str] = {}
        self.text = QTextEdit()
        self.text.setObjectName("log")
        self.text.setAccessibleName(tr("Log of the run"))
        self.text.setReadOnly(True)
        self.text.document().setMaximumBlockCount(_LINES)
        self.text.setStyleSheet("QTextEdit { border: none; }")
        self.text.setTabChangesFocus(True)
        self.none = text("", "muted")
        self.none.setContentsMargins(14, 4, 14, 4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(self._tools())
        layout.addWidget(self.none)
        layout.addWidget(self.text, 1)
        self.search.textChanged.connect(self._renew)
        self.level.currentIndexChanged.connect(self._renew)
        self.copy.clicked.connect(self.copy_text)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.start_search)
        self._renew()

    def _tools(self) -> QHBoxLayout:
        title: QLabel = text(tr("Log"), "section")
        self.search = SearchBox("log-search", tr("Search the log"), tr("Search"))
        self.search.setProperty("role", "quiet")
        self.level = Combo("log-level", tr("Lines of the log"))
        self.level.setMinimumWidth(136)
        self.level.setProperty("role", "quiet")
        for value, words in LEVELS:
            self.level.addItem(tr(words), value)
        self.copy = QToolButton()
        self.copy.setObjectName("log-copy")
        self.copy.setAccessibleName(tr("Copy the log"))
        self.copy.setToolTip(tr("Copy the lines that are shown"))
        row = QHBoxLayout()
        row.setContentsMargins(14, 0, 8, 0)
        row.setSpacing(6)
        row.addWidget(title)
        row.addWidget(self.search, 1)
        row.addWidget(self.level)
        row.addWidget(self.copy)
        return row

    def show_lines(self, lines: Sequence[LogLine], stages: Mapping[str, StageState]) -> None:
        """Show the log `lines`; those that were shown before are left as they are."""
        self._names = {key: stage.name for key, stage in stages.items()}
        if list(lines[: len(self._lines)]) != self._lines:
            self._lines = list(lines)
            self._renew()
            return
        fresh = list(lines[len(self._lines) :])
        if fresh:
            self._lines += fresh
            self._append(fresh)

    def start_search(self) -> None:
        """Put the cursor into the search field."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def copy_text(self) -> None:
        """The lines that are shown, to the clipboard."""
        QGuiApplication.clipboard().setText(self.text.toPlainText())

    def retheme(self) -> None:
        self.copy.setIcon(theme.icon("copy"))
        self._renew()

    def _renew(self) -> None:
        self.text.clear()
        self._append(self._lines[-_LINES:])

    def _fits(self, line: LogLine) -> bool:
        search = self.search.text().strip().casefold()
        words = f"{self._names.get(line.stage, '')}: {line.text}".casefold()
        return _RANK.get(line.level, 0) >= self.level.currentIndex() and search in words

    def _append(self, lines: Sequence[LogLine]) -> None:
        c = theme.colours()
        bar = self.text.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 4
        cursor = QTextCursor(self.text.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.beginEditBlock()
        for line in filter(self._fits, lines):
            name = self._names.get(line.stage, "")
            before = f'<span style="color:{c.muted}">{escape(name)}:</span> ' if name else ""
            colour = {"warning": c.warning, "error": c.bad}.get(line.level, c.text)
            if not self.text.document().isEmpty():
                cursor.insertBlock()
            words = tr(_MARKS.get(line.level, "")) + line.text
            cursor.insertHtml(f'{before}<span style="color:{colour}">{escape(words)}</span>')
        cursor.endEditBlock()
        self._mark()
        if at_end:
            bar.setValue(bar.maximum())
        empty = self.text.document().isEmpty()
        self.none.setVisible(empty and bool(self._lines))
        self.none.setText(tr("No line of the log fits."))
        self.copy.setEnabled(not empty)

    def _mark(self) -> None:
        """Mark the words that are searched for."""
        search, marks = self.search.text().strip(), []
        c = theme.colours()
        highlight = QTextCharFormat()
        highlight.setBackground(QColor(c.warning_surface))
        highlight.setForeground(QColor(c.text))
        highlight.setFontUnderline(True)
        pattern = QRegularExpression(
            QRegularExpression.escape(search), QRegularExpression.PatternOption.CaseInsensitiveOption
        )
        cursor = self.text.document().find(pattern) if search else QTextCursor()
        while not cursor.isNull():
            mark = QTextEdit.ExtraSelection()
            mark.cursor, mark.format = cursor, highlight
            marks.append(mark)
            cursor = self.text.document().find(pattern, cursor)
        self.text.setExtraSelections(marks)
