"""Sends what was found of a network into a stage of the open pipeline: which stage, and what speaks against it."""

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from core.document.overrides import Target
from gui.base import theme
from gui.base.translation import tr
from gui.widgets.buttons import card, text
from gui.widgets.combo import Combo
from gui.widgets.narrow_layout import TurningRow, beside


class SendRow(QWidget):
    """A framed row: what is sent, into which stage, and the button; below it a warning.

    Args:
        name: begins the names of its parts.
        what: widgets that say or choose what is sent, one at least.

    Signals:
        wanted: the `Target` that takes it.
    """

    wanted = Signal(object)

    def __init__(self, name: str, *what: QWidget):
        super().__init__()
        self.target = Combo(f"{name}-target", tr("Stage that takes the settings"))
        self.target.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.target.setMinimumWidth(160)
        self.send = QPushButton(tr("Send into the pipeline"))
        self.send.setObjectName(f"{name}-send")
        self.send.setToolTip(tr("Write these settings into the stage, as one step that can be undone"))
        self.send.clicked.connect(lambda: self.wanted.emit(self.target.currentData()))
        self.warning = text("", "warning", wrap=True)
        self.warning.setObjectName(f"{name}-warning")
        self.warning.hide()
        self.target.currentIndexChanged.connect(lambda _index: self._warn())
        where = QWidget()
        side = QHBoxLayout(where)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(10)
        side.addWidget(text(tr("into"), "muted"))
        side.addWidget(self.target, 1)
        side.addWidget(self.send)
        frame = card()
        row = QHBoxLayout(frame)
        row.setContentsMargins(14, 10, 14, 10)
        row.addWidget(TurningRow(beside(*what, gap=10), where, gap=10))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(10)
        column.addWidget(frame)
        column.addWidget(self.warning)

    def offer(self, targets: Sequence[Target], ready: bool) -> None:
        """Stages of the open pipeline that take it; `ready`: there is something to send."""
        with QSignalBlocker(self.target):
            self.target.clear()
            for target in targets:
                self.target.addItem(target.title, target)
        self._warn()
        self.send.setEnabled(ready and self.target.count() > 0)

    def retheme(self) -> None:
        self.send.setIcon(theme.icon("pipeline"))

    def _warn(self) -> None:
        """Say where the chosen stage works on another network than the one that was looked at."""
        target = self.target.currentData()
        warning = target.warning if target is not None else ""
        self.warning.setText(f"⚠ {warning}" if warning else "")
        self.warning.setVisible(bool(warning))
