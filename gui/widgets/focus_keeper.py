"""Where the keyboard is while work goes on that takes its widget away: on the button that stops the work, and then back."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget
from shiboken6 import isValid


class FocusKeeper:
    """Keeps the focus of a window beside `stop` while what had it is disabled or hidden for the time of some work.

    Qt would pass it to the next widget, which may be anywhere. Where a person goes elsewhere meanwhile, nothing is moved.
    """

    def __init__(self, stop: QWidget):
        self._stop = stop
        self._before: QWidget | None = None  # what had the focus when the work began
        self._holder: QWidget | None = None  # what had it before the newest change of what is enabled
        self._taken = False  # whether the work took `_before` away
        self._homeless = False  # whether nothing has the focus, as the work took that away

    def begin(self) -> None:
        """Work begins, or goes on; what has the focus is enabled yet."""
        self._holder = self._stop.window().focusWidget()
        if self._before is None:
            self._before = self._holder

    def settle(self) -> None:
        """What the work disables and hides is so now: a key must not press what Qt passed the focus on to."""
        holder, self._holder = self._holder, None
        now = self._stop.window().focusWidget()
        if holder is None or not isValid(holder) or (holder.isEnabled() and holder.isVisible()):
            return
        self._taken, self._homeless = self._taken or holder is self._before, True
        if now is not None:
            now.clearFocus()
        self.appear()

    def appear(self) -> None:
        """The button that stops the work may have become visible."""
        if self._homeless and self._stop.isVisible():
            self._homeless = False
            if self._stop.window().focusWidget() is None:
                self._stop.setFocus(Qt.FocusReason.OtherFocusReason)

    def end(self) -> None:
        """The work is over, and what it took away is there again."""
        before, taken = self._before, self._taken
        self._before = self._holder = None
        self._taken = self._homeless = False
        if not taken or before is None or not isValid(before):
            return
        stayed = self._stop.window().focusWidget() in (None, self._stop)
        if stayed and before.isVisible() and before.isEnabled():
            before.setFocus(Qt.FocusReason.OtherFocusReason)
