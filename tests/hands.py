"""A person's hands on the real window: mouse, keys and drags, on what is visible and enabled."""

from collections.abc import Callable
from typing import Any, TypeVar

from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent, QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QTabBar,
    QWidget,
)
from shiboken6 import isValid

from gui.editor.card_list import CardList
from gui.editor.palette import Palette

W = TypeVar("W", bound=QWidget)
LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


class Hands:
    """Works on whatever windows and dialogs are visible; widgets go by their object names."""

    def __init__(self, qtbot: Any):
        self.qtbot = qtbot

    def find(self, name: str, kind: type[W] = QWidget) -> W:  # type: ignore[assignment]
        """The visible widget of this name, the topmost window's first."""
        every = reversed(QApplication.topLevelWidgets())  # a menu of an earlier window may go while we look
        tops = [top for top in every if isValid(top) and top.isVisible()]
        tops.sort(key=lambda top: not top.isModal())
        found = [
            each for top in tops for each in (top, *top.findChildren(kind, name)) if each.objectName() == name
        ]
        seen = [each for each in found if each.isVisible()]
        assert seen, f"{name} is not visible ({len(found)} hidden)"
        return seen[0]

    def shown(self, name: str) -> bool:
        """Whether there is a visible widget of this name."""
        try:
            return bool(self.find(name))
        except AssertionError:
            return False

    def wait(self, true: Callable[[], bool], seconds: float = 60) -> None:
        self.qtbot.waitUntil(true, timeout=round(seconds * 1000))

    def click(self, name: str) -> None:
        """Click the middle of a button, or the box of a check box."""
        button = self.find(name)
        assert button.isEnabled(), f"{name} is not enabled: {button.toolTip()}"
        place = QPoint(10, button.height() // 2) if isinstance(button, QCheckBox) else button.rect().center()
        QTest.mouseClick(button, LEFT, NONE, place)

    def key(self, key: Qt.Key, modifier: Qt.KeyboardModifier = NONE, at: QWidget | None = None) -> None:
        """Press a key where the focus is."""
        target = at or QApplication.focusWidget() or QApplication.activeWindow()
        assert target is not None
        if not target.isActiveWindow():  # no window manager gives a window its focus back after a dialog
            target.activateWindow()
            QTest.qWaitForWindowActive(target.window())
        QTest.keyClick(target, key, modifier)

    def enter(self, name: str, text: str) -> None:
        """Replace what stands in a field and leave it."""
        field = self.find(name)
        assert field.isEnabled()
        line = field if isinstance(field, QLineEdit) else field.findChild(QLineEdit)
        assert isinstance(line, QLineEdit) and isinstance(field, QLineEdit | QAbstractSpinBox | QComboBox)
        QTest.mouseClick(line, LEFT, NONE, QPoint(6, line.height() // 2))
        QTest.keyClick(field, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClicks(field, text)
        QTest.keyClick(field, Qt.Key.Key_Tab)

    def choose(self, name: str, words: str) -> None:
        """Choose the entry of a combo box that begins with these words, by keys."""
        box = self.find(name, QComboBox)
        box.setFocus()
        wanted = next(n for n in range(box.count()) if box.itemText(n).startswith(words))
        while box.currentIndex() != wanted:
            before = box.currentIndex()
            QTest.keyClick(box, Qt.Key.Key_Down if wanted > before else Qt.Key.Key_Up)
            assert box.currentIndex() != before, f"{name} stays at {box.currentText()}"

    def click_row(self, view: QAbstractItemView, row: int, column: int = 0, twice: bool = False) -> None:
        """Click a row of a list or a table."""
        index = view.model().index(row, column)
        view.scrollTo(index)
        place = view.visualRect(index).center()
        QTest.mouseClick(view.viewport(), LEFT, NONE, place)
        if twice:
            QTest.mouseDClick(view.viewport(), LEFT, NONE, place)

    def click_tab(self, name: str, title: str) -> None:
        """Click a tab of a tab widget."""
        bar = self.find(name).findChild(QTabBar)
        assert isinstance(bar, QTabBar)
        wanted = next(n for n in range(bar.count()) if bar.tabText(n).startswith(title))
        QTest.mouseClick(bar, LEFT, NONE, bar.tabRect(wanted).center())

    # dragging

    def drag_entry(self, palette: Palette, key: str, cards: CardList, place: QPoint) -> bool:
        """Take an entry of the palette and drop it into the chain; whether it was taken.

        The offscreen platform has no drags of its own: the hand begins one, and what it carries is
        dropped by the events that a platform would send.
        """
        row = next(n for n, entry in enumerate(palette.model.entries) if entry.key == key)
        index = palette.model.index(row)
        palette.list.scrollTo(index)
        start = palette.list.visualRect(index).center()
        self.pull(palette.list, start)
        return self.drop(cards.viewport(), palette.model.mimeData([index]), place)

    def pull(self, view: QAbstractItemView, start: QPoint) -> None:
        """Press on an item and move until a drag begins."""
        port, moved = view.viewport(), start + QPoint(4, 1)
        QTest.mousePress(port, LEFT, NONE, start)
        QApplication.sendEvent(port, QMouseEvent(
            QEvent.Type.MouseMove, QPointF(moved), QPointF(port.mapToGlobal(moved)),
            Qt.MouseButton.NoButton, LEFT, NONE,
        ))  # fmt: skip
        assert view.state() == QAbstractItemView.State.DraggingState
        QTest.mouseRelease(port, LEFT, NONE, moved)

    @staticmethod
    def drop(target: QWidget, carried: QMimeData, place: QPoint) -> bool:
        """Drag something over a widget and let it go there; whether it was taken."""
        action = Qt.DropAction.CopyAction
        for kind in (QDragEnterEvent, QDragMoveEvent):
            over = kind(place, action, carried, LEFT, NONE)
            over.setAccepted(kind is QDragMoveEvent)  # as Qt has it once the entering was accepted
            QApplication.sendEvent(target, over)
            if not over.isAccepted():
                return False
        dropped = QDropEvent(QPointF(place), action, carried, LEFT, NONE)
        QApplication.sendEvent(target, dropped)
        return dropped.isAccepted()

    # dialogs that wait for their answer

    def answer(self, button: str) -> None:
        """Click a button of the dialog that opens next and waits."""
        self._when(lambda: self.shown(button), lambda: self.click(button))

    def name_file(self, text: str) -> list[str]:
        """Type a file's name into the file dialog that opens next; the name that it proposed comes back."""
        proposed: list[str] = []

        def fill() -> None:
            dialog = QApplication.activeModalWidget()
            assert isinstance(dialog, QFileDialog)
            line = dialog.findChild(QLineEdit, "fileNameEdit")
            assert isinstance(line, QLineEdit)
            proposed.append(line.text())
            line.selectAll()
            QTest.keyClicks(line, text)
            box = dialog.findChild(QDialogButtonBox)
            assert isinstance(box, QDialogButtonBox)
            accept = next(b for b in box.buttons() if box.buttonRole(b) == box.ButtonRole.AcceptRole)
            again = QTimer(dialog)  # while the dialog still reads its folder, it does not listen
            again.timeout.connect(accept.click)
            again.start(300)

        self._when(lambda: isinstance(QApplication.activeModalWidget(), QFileDialog), fill)
        return proposed

    @staticmethod
    def _when(true: Callable[[], bool], act: Callable[[], None]) -> None:
        timer = QTimer(QApplication.instance())
        timer.setInterval(20)

        def look() -> None:
            if true():
                timer.stop()
                timer.deleteLater()
                act()

        timer.timeout.connect(look)
        timer.start()


def place_of(cards: CardList, kind: str, id: str, part: float) -> QPoint:
    """A point at `part` of a card's height, in the list's viewport."""
    index = cards._cards.index(cards._cards.row_of(kind, id))
    cards.scrollTo(index)
    box = cards._painter.box_of(cards.visualRect(index), index)
    return QPoint(box.center().x(), box.top() + round(part * box.height()))
