"""A plot's legend: one small button a curve, which shows and hides it."""

from PySide6.QtCore import QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPen, QPixmap
from PySide6.QtWidgets import QToolButton, QWidget

from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import as_written
from gui.widgets.narrow_layout import Flow


class Legend(QWidget):
    """Buttons by name; unpressed means hidden."""

    toggled = Signal(str, bool)

    def __init__(self, name: str):
        super().__init__()
        self.setObjectName(f"legend-{name}")
        self._flow = Flow(self)
        self._entries: list[tuple[str, str, QIcon, bool]] = []
        self.buttons: dict[str, QToolButton] = {}
        policy = self.sizePolicy()
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def show_entries(self, entries: list[tuple[str, str, QIcon]], hidden: set[str]) -> None:
        """Name, words and sign of every curve; those in `hidden` are switched off."""
        while (item := self._flow.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self.buttons = {}
        for name, words, sign in entries:
            button = QToolButton()
            button.setObjectName(f"{self.objectName()}-{name}")
            button.setProperty("role", "legend")
            button.setText(as_written(words))
            button.setIcon(sign)
            button.setIconSize(QSize(28, 12))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setCheckable(True)
            button.setChecked(name not in hidden)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            self._tell(button, words)
            button.toggled.connect(lambda shown, name=name: self._toggled(name, shown))
            self.buttons[name] = button
            self._flow.addWidget(button)
        self.updateGeometry()

    def texts(self) -> list[str]:
        """What the buttons say."""
        return [button.text() for button in self.buttons.values()]

    def _toggled(self, name: str, shown: bool) -> None:
        self._tell(self.buttons[name], self.buttons[name].text())
        self.toggled.emit(name, shown)

    def _tell(self, button: QToolButton, words: str) -> None:
        shown = button.isChecked()
        button.setToolTip(tr("Hide “{words}”", words=words) if shown else tr("Show “{words}”", words=words))
        button.setAccessibleName(f"{words}, {'shown' if shown else 'hidden'}")
        font = button.font()
        font.setStrikeOut(not shown)
        button.setFont(font)


def sign(colour: str, dashed: bool, dots: bool, ratio: float) -> QIcon:
    """A short piece of a curve; faded for the hidden state."""
    icon = QIcon()
    for state, shade in ((QIcon.State.On, colour), (QIcon.State.Off, theme.colours().border)):
        picture = QPixmap(round(28 * ratio), round(12 * ratio))
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(shade), 2, Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine))
        painter.drawLine(1, 6, 23, 6)
        if dots:
            painter.setBrush(QColor(shade))
            painter.drawEllipse(QPoint(12, 6), 3, 3)
        painter.end()
        icon.addPixmap(picture, QIcon.Mode.Normal, state)
    return icon


def star(colour: str, ratio: float) -> QIcon:
    """The sign of marked points."""
    icon = QIcon()
    for state, shade in ((QIcon.State.On, colour), (QIcon.State.Off, theme.colours().border)):
        picture = QPixmap(round(28 * ratio), round(12 * ratio))
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QColor(shade))
        painter.drawText(QRect(0, -2, 24, 16), Qt.AlignmentFlag.AlignCenter, "★")
        painter.end()
        icon.addPixmap(picture, QIcon.Mode.Normal, state)
    return icon
