"""A combo box whose list shows every entry whole, whatever the box's own width and wherever it stands."""

from PySide6.QtCore import QEvent, QRect, QSize, Qt
from PySide6.QtGui import QHelpEvent, QPaintEvent
from PySide6.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter, QToolTip, QWidget

from gui.widgets.value_boxes import WheelNeedsFocus

_MARGIN = 2  # that the style keeps around the text
_NARROWEST = 84  # pixels to which it gives way where room is short
_AROUND = 28  # pixels beside the text: the list's frame and padding


class Combo(WheelNeedsFocus, QComboBox):
    """As `QComboBox`; the list is as wide as its longest entry and stays on the screen.

    The box itself gives way where room is short, and what is chosen is then cut by "…": at its end, or where `cut` says.

    Args:
        name: the object's name.
        said: what a screen reader calls it, where no label beside it does.
    """

    def __init__(self, name: str = "", said: str = ""):
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setObjectName(name)
        self.setAccessibleName(said)
        self.cut = Qt.TextElideMode.ElideRight  # where the chosen text is cut

    def sizeHint(self) -> QSize:
        return super().sizeHint() + QSize(2 * _MARGIN, 0)  # Qt's own has no room for a part of a pixel

    def minimumSizeHint(self) -> QSize:
        hint = super().minimumSizeHint()
        return hint.boundedTo(QSize(_NARROWEST, hint.height()))

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.isEditable():  # its line shows the text
            super().paintEvent(event)
            return
        painter, option = QStylePainter(self), QStyleOptionComboBox()
        self.initStyleOption(option)
        control = QStyle.ComplexControl.CC_ComboBox
        painter.drawComplexControl(control, option)
        option.currentText = self._shown()
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def _shown(self) -> str:
        """What of the chosen text there is room for; of the placeholder where nothing is chosen."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        control, line = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = self.style().subControlRect(control, option, line, self).width() - _MARGIN
        return self.fontMetrics().elidedText(
            self.currentText() or self.placeholderText(), self.cut, max(20, room)
        )

    def event(self, event: QEvent) -> bool:
        """Where the chosen text is cut, its tooltip begins with the whole."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and not self.isEditable():
            whole = self.currentText() or self.placeholderText()
            if self._shown() != whole:
                QToolTip.showText(event.globalPos(), "\n".join(filter(None, (whole, self.toolTip()))), self)
                return True
        return super().event(event)

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
