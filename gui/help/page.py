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
_NEW_LINE = "\u2028"  # within a block of text
_AIR = 12  # pixels above a heading that was jumped to
_SEEN = 0.08  # of the height: a hit that is nearer to an edge is scrolled away from there


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading, its level (1 is the title), its anchor and where it stands."""

    level: int
    title: str
    anchor: str
    position: int


def set_markdown(document: QTextDocument, markdown: str) -> None:
    """Fill a document; `<br>`, the only way to a new line in a cell of a table, is the only HTML that counts."""
    document.setMarkdown(markdown.replace("<br>", _NEW_LINE), _DIALECT)


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
        self.hits: list[QTextCursor] = []

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
        set_markdown(document, markdown)
        cursor = QTextCursor(document)
        cursor.beginEditBlock()  # one layout for all of it
        self._dress(c)
        cursor.endEditBlock()
        self._headings()
        self.moveCursor(QTextCursor.MoveOperation.Start)

    def retheme(self) -> None:
        """Show the same text in the theme's colours, and stay where one reads."""
        at, (begin, end) = self.verticalScrollBar().value(), _span(self.textCursor())
        self.show_text(self._markdown)
        cursor = QTextCursor(self.document())
        cursor.setPosition(begin)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        self.setTextCursor(cursor)
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
        return self._above(self.cursorForPosition(QPoint(40, _AIR + 8)).position())

    def mark(self, words: str) -> None:
        """Mark `words` everywhere: `hits` are the places."""
        c, marks = theme.colours(), []
        highlight = QTextCharFormat()
        highlight.setBackground(QColor(c.warning_surface))
        highlight.setForeground(QColor(c.text))
        highlight.setFontUnderline(True)
        self.hits = self._find_all(words)
        for cursor in self.hits:
            one = QTextEdit.ExtraSelection()
            one.cursor, one.format = cursor, highlight
            marks.append(one)
        self.setExtraSelections(marks)

    @property
    def hit(self) -> int:
        """Which of the hits is selected, -1 for none."""
        now = _span(self.textCursor())
        return next((number for number, hit in enumerate(self.hits) if _span(hit) == now), -1)

    def hit_beside(self, step: int) -> int:
        """Which hit comes after what is selected (`step` 1), before it (-1), or there or after it (0); -1 for none."""
        begin, end = _span(self.textCursor())
        spans = [(number, *_span(hit)) for number, hit in enumerate(self.hits)]
        if step < 0:
            return max((number for number, _, last in spans if last <= begin), default=-1)
        return min((number for number, first, _ in spans if first >= (end if step else begin)), default=-1)

    def go_to_hit(self, number: int) -> str:
        """Select a hit and scroll to it; the anchor of the heading that it stands under."""
        self.setTextCursor(self.hits[number])
        bar, at, high = self.verticalScrollBar(), self.cursorRect().top(), self.viewport().height()
        if not _SEEN * high < at < (1 - _SEEN) * high:
            bar.setValue(bar.value() + at - high // 3)
        return self._above(self.hits[number].position())

    def _find_all(self, words: str) -> list[QTextCursor]:
        """Every place with these words, in capitals or not."""
        found, cursor = [], self.document().find(words) if words else QTextCursor()
        while not cursor.isNull():
            found.append(cursor)
            cursor = self.document().find(words, cursor)
        return found

    def _above(self, position: int) -> str:
        """The anchor of the heading that a place stands under."""
        before = [one.anchor for one in self.headings if one.position <= position]
        return before[-1] if before else ""

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


def _span(cursor: QTextCursor) -> tuple[int, int]:
    return cursor.selectionStart(), cursor.selectionEnd()


def _blank(table: QTextTable, column: int) -> bool:
    cell = table.cellAt(0, column)
    return cell.firstCursorPosition().position() == cell.lastCursorPosition().position()
