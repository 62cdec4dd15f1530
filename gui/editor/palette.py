"""The palette: every stage and source by purpose, with a search; dragged or entered into the chain."""

from dataclasses import dataclass
from typing import Any, Literal

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QMimeData,
    QModelIndex,
    QObject,
    QRect,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from core.sources.catalogue import SOURCE_KINDS
from core.stages.catalogue import STAGES
from gui.base import theme
from gui.base.translation import QT_TR_NOOP, tr
from gui.editor.cards import Index
from gui.widgets.buttons import text
from gui.widgets.search_box import SearchBox
from gui.widgets.wrapping import wrapped

NEW = "application/x-espalier-new"
_SOURCES = QT_TR_NOOP("Start from")
_HELP_LINES = 2  # of entries that are not chosen
_BESIDE, _RIGHT, _ABOVE = 30, 6, 5  # pixels around an entry's text; the icon stands in those on the left
_LEAST = 120


@dataclass(frozen=True, slots=True)
class PaletteEntry:
    """One thing that can be added; a heading has no `key`.

    Attributes:
        key: "stage:train", "source:onnx".
    """

    key: str
    title: str
    help: str = ""
    icon: str = ""


def entries(search: str = "") -> list[PaletteEntry]:
    """All stages and sources under their purposes, or those that a search fits."""
    groups: dict[str, list[PaletteEntry]] = {}
    for stage in STAGES.values():
        groups.setdefault(stage.group, []).append(
            PaletteEntry(f"stage:{stage.id}", stage.title, stage.help, stage.icon)
        )
    groups[tr(_SOURCES)] = [
        PaletteEntry(f"source:{source.id}", source.title, source.help, source.icon)
        for source in SOURCE_KINDS.values()
    ]
    matches: list[PaletteEntry] = []
    for group, members in groups.items():
        fitting = [entry for entry in members if _fits(entry, group, search)]
        if fitting:
            matches += [PaletteEntry("", group), *fitting]
    return matches


def _fits(entry: PaletteEntry, group: str, search: str) -> bool:
    words = f"{entry.title} {entry.help} {group} {entry.key}".lower()
    return all(word in words for word in search.lower().split())


class PaletteModel(QAbstractListModel):
    """The entries as a list model; headings can be neither chosen nor dragged."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = entries()

    def search(self, words: str) -> None:
        self.beginResetModel()
        self.entries = entries(words)
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self.entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.title
        if role in (Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleDescriptionRole):
            return entry.help or None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{entry.title}. {entry.help}" if entry.key else tr("{title}, heading", title=entry.title)
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        if not index.isValid() or not self.entries[index.row()].key:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsDragEnabled

    def mimeTypes(self) -> list[str]:
        return [NEW]

    def mimeData(self, indexes: Any) -> QMimeData:
        carried = QMimeData()
        carried.setData(NEW, self.entries[indexes[0].row()].key.encode())
        return carried

    def supportedDragActions(self) -> Qt.DropAction:
        return Qt.DropAction.CopyAction


class Palette(QWidget):
    """Search box and list.

    Signals:
        chosen: the key of an entry that is to be put behind the selected card.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.model = PaletteModel()
        self.search = SearchBox("palette-search", tr("Search stages"), tr("Search stages"))
        self.search.setToolTip(tr("Find a stage by its name or by what it does  (Ctrl+F)"))
        self.search.setAcceptDrops(False)
        self.search.textChanged.connect(self._searched)
        self.search.installEventFilter(self)
        self._glass = self.search.addAction(
            theme.icon("search", "muted"), QLineEdit.ActionPosition.LeadingPosition
        )
        for button in self.search.findChildren(QToolButton):
            if not button.objectName():
                button.setObjectName("palette-search-glass")
                button.setAccessibleName(tr("Search"))
        self.list = QListView()
        self.list.setObjectName("palette")
        self.list.setProperty("role", "palette")
        self.list.setAccessibleName(tr("Stages to add; Enter adds, or drag into the chain"))
        self.list.setModel(self.model)
        self.list.setItemDelegate(_EntryDelegate(self.list))
        self.list.setDragEnabled(True)
        self.list.setDragDropMode(QAbstractItemView.DragDropMode.DragOnly)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMouseTracking(True)
        self.list.activated.connect(self._activated)
        self.nothing = text("", "muted", wrap=True)
        self.nothing.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(8)
        column.addWidget(self.search)
        column.addWidget(self.nothing)
        column.addWidget(self.list, 1)

    def retheme(self) -> None:
        """Take icons and colours of the theme."""
        self._glass.setIcon(theme.icon("search", "muted"))
        self.list.viewport().update()

    def focus_search(self) -> None:
        """Put the cursor into the search box."""
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _searched(self, words: str) -> None:
        self.model.search(words)
        first = next((n for n, entry in enumerate(self.model.entries) if entry.key), -1)
        self.nothing.setText(
            tr(
                "No stage is called or does “{strip}”. Try another word, or clear the search.",
                strip=words.strip(),
            )
        )
        self.nothing.setVisible(first < 0)
        if first >= 0 and words.strip():
            self.list.setCurrentIndex(self.model.index(first))

    def _activated(self, index: QModelIndex) -> None:
        key = self.model.entries[index.row()].key
        if key:
            self.chosen.emit(key)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """In the search box: the down key goes to the list, Enter adds what is marked there."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            index = self.list.currentIndex()
            if event.key() == Qt.Key.Key_Down:
                self.list.setFocus(Qt.FocusReason.TabFocusReason)
                if not index.isValid():
                    self.list.setCurrentIndex(self.model.index(1))
                return True
            if (
                event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
                and self.search.text()
                and index.isValid()
            ):
                self._activated(index)
                return True
            if event.key() == Qt.Key.Key_Escape and self.search.text():
                self.search.clear()
                return True
        return super().eventFilter(watched, event)


class _EntryDelegate(QStyledItemDelegate):
    """Icon, title, and the beginning of the help; of the chosen entry the whole.

    Args:
        list: what it paints in; rows are as high as their lines need at its width.
    """

    def __init__(self, list: QListView):
        super().__init__(list)
        self._list = list
        list.selectionModel().currentChanged.connect(self._resize)

    def _resize(self, now: QModelIndex, before: QModelIndex) -> None:
        """Another entry shows the whole of its help."""
        for index in (before, now):
            if index.isValid():
                self.sizeHintChanged.emit(index)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        if not index.flags():
            return QSize(_LEAST, max(30, option.fontMetrics.height() + 12))
        lines = self._lines(option.font, index, self._list.viewport().width())
        return QSize(_LEAST, 2 * _ABOVE + sum(metrics.height() for _, _, metrics, _ in lines))

    def _lines(
        self, font: QFont, index: Index, width: int
    ) -> list[tuple[str, QFont, QFontMetrics, Literal["text", "muted"]]]:
        """Every line of an entry in a row of this width, with its font and colour."""
        model = index.model()
        assert isinstance(model, PaletteModel)
        entry, small = model.entries[index.row()], QFont(font)
        small.setPointSizeF(font.pointSizeF() * 0.88)
        large_metrics, small_metrics = QFontMetrics(font), QFontMetrics(small)
        most = 0 if index == self._list.currentIndex() else _HELP_LINES
        room = width - _BESIDE - _RIGHT
        return [
            *((line, font, large_metrics, "text") for line in wrapped(entry.title, large_metrics, room)),
            *((line, small, small_metrics, "muted") for line in wrapped(entry.help, small_metrics, room, most)),
        ]  # fmt: skip

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        model = index.model()
        assert isinstance(model, PaletteModel)
        entry, c = model.entries[index.row()], theme.colours()
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if entry.key:
            self._ground(painter, option)
            self._entry(painter, option, index, entry.icon)
        else:
            font = QFont(option.font)
            font.setWeight(QFont.Weight.DemiBold)
            font.setPointSizeF(option.font.pointSizeF() * 0.9)
            painter.setFont(font)
            painter.setPen(QColor(c.muted))
            where = option.rect.adjusted(6, 6, -4, -3)
            shown = painter.fontMetrics().elidedText(entry.title, Qt.TextElideMode.ElideRight, where.width())
            painter.drawText(where, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, shown)
        painter.restore()

    def _ground(self, painter: QPainter, option: QStyleOptionViewItem) -> None:
        c, state = theme.colours(), option.state
        selected = bool(state & QStyle.StateFlag.State_Selected)
        hovered = bool(state & QStyle.StateFlag.State_MouseOver)
        focused = selected and bool(state & QStyle.StateFlag.State_HasFocus)
        if selected or hovered:
            painter.setPen(QColor(c.accent) if focused else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(c.selection if selected else c.hover))
            painter.drawRoundedRect(option.rect.adjusted(1, 1, -2, -1), 6, 6)

    def _entry(self, painter: QPainter, option: QStyleOptionViewItem, index: Index, icon: str) -> None:
        rect, top = option.rect, option.rect.top() + _ABOVE
        ratio = painter.device().devicePixelRatio() if painter.device() else 1
        painter.drawPixmap(rect.left() + 6, top, theme.pixmap(icon, "accent", 18, ratio))
        for line, font, metrics, colour in self._lines(option.font, index, rect.width()):
            painter.setFont(font)
            painter.setPen(QColor(getattr(theme.colours(), colour)))
            where = QRect(rect.left() + _BESIDE, top, rect.width() - _BESIDE, metrics.height())
            painter.drawText(where, Qt.AlignmentFlag.AlignVCenter, line)
            top += metrics.height()
