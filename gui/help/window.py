"""The window of the guide and the reference: contents, text, search, back and forward."""

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import QDesktopServices, QKeySequence, QShortcut, QTextCursor, QTextDocument
from PySide6.QtWidgets import (
    QHBoxLayout,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.base import theme
from gui.base.screen import resize_within_screen
from gui.base.translation import QT_TR_NOOP, tr
from gui.help import guide
from gui.help.page import DocumentPage, set_markdown
from gui.help.search_row import SearchRow
from gui.widgets.combo import Combo
from gui.widgets.splitter import Splitter

_TOOLS = (
    ("back", "undo", QT_TR_NOOP("Back"), "Alt+Left"),
    ("forward", "redo", QT_TR_NOOP("Forward"), "Alt+Right"),
)


class HelpWindow(QWidget):
    """Stays beside the main window; works without a network."""

    def __init__(self, parent: QWidget | None):
        super().__init__(parent, Qt.WindowType.Window)
        theme.style(self)
        self.setObjectName("help")
        self.setWindowTitle(tr("Help — Espalier"))
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        resize_within_screen(self, 980, 720)
        self.page = DocumentPage()
        self._history: list[tuple[str, str]] = []
        self._at = -1
        self._texts: dict[str, str] = {}  # of documents that are searched and not shown
        self.contents = QTreeWidget()
        self.contents.setObjectName("help-contents")
        self.contents.setAccessibleName(tr("Contents"))
        self.contents.setHeaderHidden(True)
        self.contents.setIndentation(14)
        splitter = Splitter("help-splitter", self.contents, self.page)
        splitter.setSizes([250, 730])
        splitter.setStretchFactor(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.setSpacing(10)
        layout.addLayout(self._tools())
        layout.addWidget(splitter, 1)
        self.page.anchorClicked.connect(self._follow)
        self.contents.itemClicked.connect(self._chosen)
        self.contents.itemActivated.connect(self._chosen)
        self.retheme()

    def _tools(self) -> QHBoxLayout:
        self.buttons: dict[str, QToolButton] = {}
        row = QHBoxLayout()
        row.setSpacing(6)
        for name, _icon, words, keys in _TOOLS:
            button = QToolButton()
            button.setObjectName(f"help-{name}")
            button.setAccessibleName(tr(words))
            button.setToolTip(f"{tr(words)}  ({keys})")
            button.setShortcut(QKeySequence(keys))
            button.setIconSize(QSize(18, 18))
            self.buttons[name] = button
            row.addWidget(button)
        self.buttons["back"].clicked.connect(lambda: self._step(-1))
        self.buttons["forward"].clicked.connect(lambda: self._step(1))
        self.which = Combo("help-document", tr("Document"))
        self.which.setMinimumContentsLength(13)  # a title with the room around it
        for name, title in guide.TITLES.items():
            self.which.addItem(tr(title), name)
        self.which.activated.connect(lambda _index: self.open(self.which.currentData()))
        self.search = SearchRow(self)
        self.search.changed.connect(self._search)
        self.search.stepped.connect(self._step_hits)
        QShortcut(QKeySequence(Qt.Key.Key_Escape), self).activated.connect(self._leave)
        row.addWidget(self.which)
        row.addWidget(self.search, 1)
        return row

    def open_place(self, place: str) -> None:
        """The guide's section for a place of the window."""
        self._load(guide.GUIDE)
        self.open(guide.GUIDE, guide.section_for(place, [one.anchor for one in self.page.headings]))

    def open(self, name: str, anchor: str = "") -> None:
        """Show a document, at a heading; remembered for Back."""
        self._history = [*self._history[: self._at + 1], (name, anchor)]
        self._at = len(self._history) - 1
        self._arrive()

    def retheme(self) -> None:
        for name, icon, _words, _keys in _TOOLS:
            self.buttons[name].setIcon(theme.icon(icon))
        self.search.retheme()
        if self.page.name:
            self.page.retheme()
            self.page.mark(self.search.words)

    def _arrive(self) -> None:
        name, anchor = self._history[self._at]
        self._load(name)
        if not self.page.go_to(anchor):
            self.page.moveCursor(QTextCursor.MoveOperation.Start)
            self.page.verticalScrollBar().setValue(0)
        self._select(anchor)
        self.page.setFocus()
        self.which.setCurrentIndex(max(0, self.which.findData(name)))
        self.buttons["back"].setEnabled(self._at > 0)
        self.buttons["forward"].setEnabled(self._at < len(self._history) - 1)
        self._show_count()

    def _load(self, name: str) -> None:
        if self.page.name == name:
            return
        self.page.show_document(name)
        self.contents.clear()
        parents: dict[int, QTreeWidgetItem] = {}
        for one in self.page.headings:
            if not 1 < one.level <= 4:
                continue
            item = QTreeWidgetItem([one.title])
            item.setToolTip(0, one.title)
            item.setData(0, Qt.ItemDataRole.UserRole, one.anchor)
            above = next((parents[level] for level in range(one.level - 1, 0, -1) if level in parents), None)
            self.contents.addTopLevelItem(item) if above is None else above.addChild(item)
            parents = {level: item_above for level, item_above in parents.items() if level < one.level}
            parents[one.level] = item
        self.page.mark(self.search.words)

    def _select(self, anchor: str) -> None:
        for item in self.contents.findItems("", Qt.MatchFlag.MatchContains | Qt.MatchFlag.MatchRecursive):
            if item.data(0, Qt.ItemDataRole.UserRole) == anchor:
                self.contents.setCurrentItem(item)
                item.setExpanded(True)

    def _chosen(self, item: QTreeWidgetItem) -> None:
        self.open(self.page.name, str(item.data(0, Qt.ItemDataRole.UserRole)))

    def _follow(self, url: QUrl) -> None:
        name, anchor = self.page.address(url)
        if not name:
            QDesktopServices.openUrl(url)
        elif name.endswith(".md"):
            self.open(name, anchor)

    def _step(self, by: int) -> None:
        self._at = min(max(0, self._at + by), len(self._history) - 1)
        self._arrive()

    def _search(self) -> None:
        """Mark the words everywhere, and go on to the first place from the present one on."""
        self.page.mark(self.search.words)
        if self.page.hits:
            self._select(self.page.go_to_hit(max(0, self.page.hit_beside(0))))
        self._show_count()

    def _step_hits(self, step: int) -> None:
        """To the next hit, or the one before; beyond the last of a document comes the first of another that has some."""
        number = self.page.hit_beside(step)
        if number < 0:
            others = [name for name, count in self._elsewhere().items() if count]
            if others:
                typing = self.search.box.hasFocus()
                self.open(others[0])
                if typing:
                    self.search.box.setFocus()
            number = 0 if step > 0 else len(self.page.hits) - 1
        if self.page.hits:
            self._select(self.page.go_to_hit(number))
        self._show_count()

    def _show_count(self) -> None:
        parts = [
            tr("{count} in {document}", count=count, document=tr(guide.TITLES[name]))
            for name, count in self._elsewhere().items()
            if count
        ]
        self.search.show_count(self.page.hit + 1, len(self.page.hits), " · ".join(parts))

    def _elsewhere(self) -> dict[str, int]:
        """How often the words stand in the documents that are not shown."""
        words = self.search.words
        others = [name for name in guide.TITLES if name != self.page.name] if words else []
        return {name: self._text_of(name).count(words.casefold()) for name in others}

    def _text_of(self, name: str) -> str:
        if name not in self._texts:
            document = QTextDocument()
            set_markdown(document, guide.read(name))
            self._texts[name] = document.toPlainText().casefold()
        return self._texts[name]

    def _leave(self) -> None:
        if self.search.box.text():
            self.search.box.clear()
        else:
            self.close()
