"""One document on the screen: Markdown with headings that can be jumped to, and marked words."""

from dataclasses import dataclass

from PySide6.QtCore import QPoint, Qt, QUrl
from PySide6.QtGui import (
    QColor,
    QFont,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFrameFormat,
    QTextOption,
    QTextTable,
    QTextTableFormat,
)
from PySide6.QtWidgets import QTextBrowser, QTextEdit

from gui.base import theme
from gui.base.translation import tr
from gui.help import guide

_DIALECT = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_AIR = 12  # pixels above a heading that was jumped to


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading, its level (1 is the title), its anchor and where it stands."""

    level: int
    title: str
    anchor: str
    position: int


class DocumentPage(QTextBrowser):
    """Shows a document; a click on a link only emits `anchorClicked`."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("help-text")
        self.setAccessibleName(tr("Document"))
        self.setOpenLinks(False)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)  # tables round up a pixel
        self.name = self._markdown = ""
        self.headings: list[Heading] = []

    def show_document(self, name: str) -> None:
        """Show a document by its name."""
        self.name = name
        place = guide.folder()
        if place is not None:
            self.setSearchPaths([str(place)])
        self.show_text(guide.read(name))

    def show_text(self, markdown: str) -> None:
        """Show Markdown that is no document of the program's."""
        self._markdown = markdown
        c = theme.colours()
        document = self.document()
        document.setDocumentMargin(22)
        document.setUndoRedoEnabled(False)
        document.setMarkdown(markdown, _DIALECT)
        cursor = QTextCursor(document)
        cursor.beginEditBlock()  # one layout for all of it
        self._dress(c)
        cursor.endEditBlock()
        self._headings()
        self.moveCursor(QTextCursor.MoveOperation.Start)

    def retheme(self) -> None:
        """Show the same text in the theme's colours, and stay where one reads."""
        at = self.verticalScrollBar().value()
        self.show_text(self._markdown)
        self.verticalScrollBar().setValue(at)

    def go_to(self, anchor: str) -> bool:
        """Put a heading at the top; False when there is none of that name."""
        heading = next((one for one in self.headings if one.anchor == anchor), None)
        if heading is None:
            return False
        cursor = QTextCursor(self.document())
        cursor.setPosition(heading.position)
        self.setTextCursor(cursor)
        bar = self.verticalScrollBar()
        bar.setValue(bar.value() + self.cursorRect(cursor).top() - _AIR)
        return True

    def section(self) -> str:
        """The anchor of the heading that one reads under."""
        top = self.cursorForPosition(QPoint(40, _AIR + 8)).position()
        before = [one.anchor for one in self.headings if one.position <= top]
        return before[-1] if before else ""

    def mark(self, words: str) -> int:
        """Mark `words` everywhere; how often they occur."""
        c, marks = theme.colours(), []
        highlight = QTextCharFormat()
        highlight.setBackground(QColor(c.warning_surface))
        highlight.setForeground(QColor(c.text))
        highlight.setFontUnderline(True)
        cursor = self.document().find(words) if words else QTextCursor()
        while not cursor.isNull():
            one = QTextEdit.ExtraSelection()
            one.cursor, one.format = cursor, highlight
            marks.append(one)
            cursor = self.document().find(words, cursor)
        self.setExtraSelections(marks)
        return len(marks)

    def address(self, url: QUrl) -> tuple[str, str]:
        """Document and anchor that a link leads to; the document is "" for one of the web."""
        if url.scheme() in ("http", "https", "mailto"):
            return "", ""
        return url.path().rpartition("/")[2] or self.name, url.fragment()

    def _headings(self) -> None:
        blocks = []
        block = self.document().begin()
        while block.isValid():
            if level := block.blockFormat().headingLevel():
                blocks.append((level, block.text(), block.position()))
            block = block.next()
        names = guide.anchors([title for _level, title, _position in blocks])
        self.headings = [
            Heading(level, title, anchor, position)
            for (level, title, position), anchor in zip(blocks, names, strict=True)
        ]

    def _dress(self, c: theme.Colours) -> None:
        """Tables with thin lines and room, code on a background of its own."""
        for frame in self.document().rootFrame().childFrames():
            if isinstance(frame, QTextTable):
                if all(_blank(frame, column) for column in range(frame.columns())):
                    frame.removeRows(0, 1)  # Markdown wants a heading, even where there is none
                format = QTextTableFormat(frame.format())
                format.setBorder(1)
                format.setBorderBrush(QColor(c.border))
                format.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
                format.setBorderCollapse(True)
                format.setCellPadding(6)
                format.setHeaderRowCount(0)
                format.setTopMargin(6)
                format.setBottomMargin(10)
                frame.setFormat(format)
        block = self.document().begin()
        while block.isValid():
            self._dress_block(block, c)
            block = block.next()

    def _dress_block(self, block: QTextBlock, c: theme.Colours) -> None:
        if block.blockFormat().nonBreakableLines():  # code: a long line is continued below
            ground = QTextBlockFormat()
            ground.setNonBreakableLines(False)
            ground.setBackground(QColor(c.hover))
            QTextCursor(block).mergeBlockFormat(ground)
        pieces = []
        iterator = block.begin()
        while not iterator.atEnd():
            piece = iterator.fragment()
            if piece.charFormat().fontFixedPitch():
                pieces.append((piece.position(), piece.length()))
            iterator += 1
        format = QTextCharFormat()
        format.setBackground(QColor(c.hover))
        format.setFontFamilies(["DejaVu Sans Mono", "Consolas", "Menlo", "monospace"])
        format.setFontStyleHint(QFont.StyleHint.Monospace)
        for position, length in pieces:
            cursor = QTextCursor(self.document())
            cursor.setPosition(position)
            cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
            cursor.mergeCharFormat(format)


def _blank(table: QTextTable, column: int) -> bool:
    cell = table.cellAt(0, column)
    return cell.firstCursorPosition().position() == cell.lastCursorPosition().position()
