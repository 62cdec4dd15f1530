"""What is known of the files: where they lie, what was left out and why, and notes on the splits."""

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import Qt
from PySide6.QtGui import QStandardItem, QStandardItemModel
from PySide6.QtWidgets import QHeaderView, QTableView, QVBoxLayout, QWidget

from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.tables import set_up_rows


class LeftOutPane(QWidget):
    """Facts above, then the files that could not be read, then notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = text("", "", wrap=True)
        self.notes.setObjectName("data-notes")
        self.notes.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.heading = text("", "section")
        self.heading.setObjectName("left-out-words")
        self._facts: Sequence[tuple[str, str]] = ()
        self.files = QStandardItemModel(0, 2)
        self.table = QTableView()
        self.table.setModel(self.files)
        set_up_rows(self.table, "left-out", tr("Files that could not be read"), 34)
        self.table.setStyleSheet("QTableView::item { padding: 0 6px; }")
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setStretchLastSection(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.setSpacing(8)
        self.facts = text("", "", wrap=True)
        self.facts.setTextFormat(Qt.TextFormat.RichText)  # what stands in it is escaped
        self.facts.setObjectName("data-facts")
        self.facts.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout.addWidget(self.facts)
        layout.addWidget(self.heading)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.notes)
        layout.addStretch(0)

    def show_files(
        self, facts: Sequence[tuple[str, str]], problems: Sequence[tuple[str, str]], notes: Sequence[str]
    ) -> None:
        """Show these; facts are a title and a text each."""
        self._facts = facts
        self.retheme()
        self.files.clear()
        self.files.setHorizontalHeaderLabels([tr("File"), tr("Reason")])
        self.table.setColumnWidth(0, 250)
        for path, reason in problems:
            cells = [QStandardItem(path), QStandardItem(reason)]
            for cell in cells:
                cell.setToolTip(cell.text())
                cell.setEditable(False)
            self.files.appendRow(cells)
        self.table.setVisible(bool(problems))
        count = len(problems)
        self.heading.setText(
            tr("{count} files could not be read and are left out", count=count)
            if count > 1
            else tr("1 file could not be read and is left out")
            if count
            else tr("Every file could be read.")
        )
        self.notes.setText("\n\n".join(notes))
        self.layout().setStretch(4, 0 if problems else 1)  # type: ignore[union-attr]

    def retheme(self) -> None:
        """The facts in the theme's colours."""
        muted = theme.colours().muted
        rows = "".join(
            f'<tr><td style="padding: 2px 18px 2px 0; color: {muted}">{escape(title)}</td>'
            f'<td style="padding: 2px 0">{escape(words)}</td></tr>'
            for title, words in self._facts
        )
        self.facts.setText(tr("<table>{rows}</table>", rows=rows))
