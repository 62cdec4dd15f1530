"""Widgets below each other in no more height than they have use for."""

from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

_ANY = 16_777_215  # pixels: the largest height that Qt knows, which stands for none


class SnugColumn(QWidget):
    """Its greatest height is the sum of its parts': of each the greatest that it was given, else what its content needs."""

    def __init__(self, *parts: QWidget, gap: int = 8):
        super().__init__()
        self._parts, self._gap = parts, gap
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(gap)
        for part in parts:
            column.addWidget(part)

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            shown = [part for part in self._parts if not part.isHidden()]
            height = sum(map(_useful, shown)) + self._gap * max(0, len(shown) - 1)
            if height != self.maximumHeight():
                self.setMaximumHeight(height)
        return done


def _useful(part: QWidget) -> int:
    """The height that a part has use for."""
    if part.maximumHeight() < _ANY:
        return part.maximumHeight()
    return part.heightForWidth(part.width()) if part.hasHeightForWidth() else part.sizeHint().height()
