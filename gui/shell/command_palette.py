"""The command palette (Ctrl+K): everything that the menus can do, and every card, by a few letters of its name."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QEvent,
    QModelIndex,
    QObject,
    QRect,
    QSize,
    Qt,
    QTimer,
)
from PySide6.QtGui import QAction, QColor, QFont, QIcon, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QListView,
    QMenu,
    QMenuBar,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from gui.base import theme
from gui.base.translation import tr
from gui.editor.cards import Index
from gui.widgets.buttons import text
from gui.widgets.search_box import SearchBox

_WIDTH, _ROWS, _ROW = 620, 9, 44


@dataclass(frozen=True, slots=True)
class Command:
    """One line of the palette.

    Attributes:
        where: the menus that lead there ("Edit › Stage").
        enabled: whether it can be used now; `help` says why not.
    """

    title: str
    where: str
    run: Callable[[], None]
    help: str = ""
    shortcut: str = ""
    icon: QIcon | None = None
    enabled: bool = True


def menu_commands(
    menu: QMenuBar | QMenu, where: tuple[str, ...] = (), held: tuple[object, ...] = ()
) -> Iterator[Command]:
    """Every entry of a menu and of the menus below it.

    `held`: the menus above. With them the binding would drop what belongs to them, however it is still referred to.
    """
    for action in menu.actions():
        words, _, shown_key = action.text().replace("&", "").partition("\t")
        words = words.rstrip("…")
        below = action.menu()
        if isinstance(below, QMenu):
            yield from menu_commands(below, (*where, words), (*held, menu, action, below))
        elif not action.isSeparator() and action.isVisible() and words:
            key = action.shortcut().toString() or shown_key
            yield Command(
                words, " › ".join(where), partial(_trigger, action, held), action.toolTip(), key, action.icon(), action.isEnabled()
            )  # fmt: skip


def _trigger(action: QAction, _held: tuple[object, ...]) -> None:
    action.trigger()


def matching(commands: Sequence[Command], search: str) -> list[Command]:
    """Those that have every word of the search, the likeliest first; what cannot be used now stands last."""
    words = search.lower().split()

    def rank(command: Command) -> int:
        title = command.title.lower()
        if not words or title.startswith(words[0]):
            return 0
        if all(any(part.startswith(word) for part in title.split()) for word in words):
            return 1
        return 2 if all(word in title for word in words) else 3

    found = [
        each for each in commands
        if all(word in f"{each.title} {each.where} {each.help}".lower() for word in words)
    ]  # fmt: skip
    return sorted(found, key=lambda each: (not each.enabled, rank(each)))


class _Model(QAbstractListModel):
    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Command] = []

    def show_commands(self, commands: list[Command]) -> None:
        self.beginResetModel()
        self.commands = commands
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.commands)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        command = self.commands[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return command.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            parts = (command.title, command.where, command.shortcut, "" if command.enabled else tr("not now"))
            return ", ".join(part for part in parts if part)
        if role == Qt.ItemDataRole.ToolTipRole:
            return command.help or None
        return None


class CommandPalette(QFrame):
    """A search box over a list, in front of the window; Escape and a click beside it close it.

    Args:
        commands: asked whenever it opens.
    """

    def __init__(self, window: QWidget, commands: Callable[[], list[Command]]):
        super().__init__(window)
        theme.style(self)
        self.setObjectName("command-palette")
        self.setProperty("role", "popup")
        self.setAccessibleName(tr("Command palette"))
        self._commands, self._all = commands, list[Command]()
        self._before: QWidget | None = None
        self.model = _Model()
        self.search = SearchBox(
            "command-search", tr("What do you want to do?"), tr("What do you want to do?")
        )
        self.search.setAcceptDrops(False)
        self.search.textChanged.connect(self._searched)
        self.search.installEventFilter(self)
        self.list = QListView()
        self.list.setObjectName("command-list")
        self.list.setProperty("role", "palette")
        self.list.setAccessibleName(tr("Commands"))
        self.list.setModel(self.model)
        self.list.setItemDelegate(_CommandDelegate(self.list))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setMouseTracking(True)
        self.list.clicked.connect(self._run)
        self.nothing = text(tr("Nothing is called so."), "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 10, 10, 10)
        column.setSpacing(8)
        column.addWidget(self.search)
        column.addWidget(self.nothing)
        column.addWidget(self.list, 1)
        window.installEventFilter(self)
        self.hide()

    def open(self) -> None:
        """Show it, or hide it where it is open."""
        if self.isVisible():
            self.dismiss()
            return
        self._before = self.window().focusWidget()
        self._all = self._commands()
        self.search.clear()
        self._searched("")
        self._place()
        self.show()
        self.raise_()
        self.search.setFocus(Qt.FocusReason.PopupFocusReason)

    def dismiss(self) -> None:
        """Hide it and give the focus back."""
        before, self._before = self._before, None
        if before is not None and before.isVisible():
            before.setFocus(Qt.FocusReason.PopupFocusReason)  # which hides the palette
        self.hide()

    def _searched(self, words: str) -> None:
        self.model.show_commands(matching(self._all, words))
        some = bool(self.model.commands)
        self.nothing.setVisible(not some)
        self.list.setVisible(some)
        if some:
            self.list.setCurrentIndex(self.model.index(0))

    def _run(self, index: QModelIndex) -> None:
        command = self.model.commands[index.row()]
        if command.enabled:
            self.dismiss()
            QTimer.singleShot(0, self, command.run)  # when the key or click that chose it is over

    def _move(self, by: int) -> None:
        row = self.list.currentIndex().row() + by
        self.list.setCurrentIndex(self.model.index(max(0, min(row, len(self.model.commands) - 1))))

    def _place(self) -> None:
        room = self.window().size()
        width = min(_WIDTH, room.width() - 40)
        height = min(_ROWS * _ROW + 70, room.height() - 100)
        self.setGeometry((room.width() - width) // 2, 56, width, height)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the search box move in the list; leaving it closes the palette."""
        if watched is not self.search:
            if isinstance(event, QResizeEvent) and self.isVisible():
                self._place()
        elif event.type() == QEvent.Type.FocusOut:
            self.hide()
        elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self._key(event)
        return super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        keys = Qt.Key
        steps = {keys.Key_Down: 1, keys.Key_Up: -1, keys.Key_PageDown: _ROWS, keys.Key_PageUp: -_ROWS}
        key = Qt.Key(event.key())
        if key in steps:
            self._move(steps[key])
        elif key == keys.Key_Escape:
            self.dismiss()
        elif key in (keys.Key_Return, keys.Key_Enter):
            if self.list.currentIndex().isValid():
                self._run(self.list.currentIndex())
        else:
            return False
        return True


class _CommandDelegate(QStyledItemDelegate):
    """Icon, title, the menus that lead there, and the key."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(200, max(_ROW, 2 * option.fontMetrics.height() + 10))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        model = index.model()
        assert isinstance(model, _Model)
        command, c, rect = model.commands[index.row()], theme.colours(), option.rect
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected or option.state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(QColor(c.accent) if selected else Qt.PenStyle.NoPen)
            painter.setBrush(QColor(c.selection if selected else c.hover))
            painter.drawRoundedRect(rect.adjusted(1, 1, -2, -1), 6, 6)
        if command.icon is not None and not command.icon.isNull():
            mode = QIcon.Mode.Normal if command.enabled else QIcon.Mode.Disabled
            command.icon.paint(painter, QRect(rect.left() + 8, rect.center().y() - 9, 18, 18), mode=mode)
        small = QFont(option.font)
        small.setPointSizeF(option.font.pointSizeF() * 0.88)
        self._texts(painter, option, command, small)
        painter.restore()

    def _texts(self, painter: QPainter, option: QStyleOptionViewItem, command: Command, small: QFont) -> None:
        c, rect = theme.colours(), option.rect
        middle, elide = Qt.AlignmentFlag.AlignVCenter, Qt.TextElideMode.ElideRight
        right = painter.fontMetrics().horizontalAdvance(command.shortcut) + 16 if command.shortcut else 0
        left, width, half = rect.left() + 36, rect.width() - 46 - right, rect.height() // 2 - 3
        second = command.where if command.enabled else tr("{where} · not now", where=command.where)
        for words, font, colour, top in (
            (command.title, option.font, c.text if command.enabled else c.strong_border, 4),
            (second, small, c.muted, 2 + half),
        ):
            painter.setFont(font)
            painter.setPen(QColor(colour))
            shown = painter.fontMetrics().elidedText(words, elide, width)
            painter.drawText(QRect(left, rect.top() + top, width, half), middle, shown)
        painter.setFont(small)
        painter.setPen(QColor(c.muted))
        painter.drawText(rect.adjusted(0, 0, -12, 0), middle | Qt.AlignmentFlag.AlignRight, command.shortcut)
