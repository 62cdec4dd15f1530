"""A combo box whose list shows every entry whole, whatever the box's own width and wherever it stands."""

from PySide6.QtCore import QRect
from PySide6.QtWidgets import QComboBox, QWidget

_AROUND = 28  # pixels beside the text: the list's frame and padding


class Combo(QComboBox):
    """As `QComboBox`; the list is as wide as its longest entry and stays on the screen."""

    def showPopup(self) -> None:
        view, room = self.view(), self.screen().availableGeometry()
        bar = view.verticalScrollBar().sizeHint().width()
        widest = view.sizeHintForColumn(0) + _AROUND + (bar if self.count() > self.maxVisibleItems() else 0)
        view.setMinimumWidth(min(max(self.width(), widest), room.width()))
        super().showPopup()
        frame = view.window()
        if frame is not self.window():
            for _ in range(2):  # once it is large enough, what was there to scroll with goes
                self._fit(frame, room)

    def _fit(self, frame: QWidget, room: QRect) -> None:
        """As high as all entries, which Qt leaves out the style's padding of, and within the screen."""
        entries = sum(self.view().sizeHintForRow(row) for row in range(self.count()))
        place = frame.geometry()
        place.setHeight(min(place.height() + entries - self.view().viewport().height(), room.height()))
        place.moveRight(min(place.right(), room.right()))
        place.moveBottom(min(place.bottom(), room.bottom()))
        place.moveLeft(max(place.left(), room.left()))
        place.moveTop(max(place.top(), room.top()))
        frame.setGeometry(place)
        layout = frame.layout()
        if layout is not None:
            layout.activate()
