"""The middle of the window: the rail, and the places that it leads to."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import QMargins, Qt, Signal
from PySide6.QtGui import QKeyEvent, QResizeEvent
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QWidget,
)

from gui.base import theme
from gui.base.in_turn import InTurn
from gui.shell.rail import Rail
from gui.widgets.buttons import Header
from gui.widgets.narrow_layout import TurningRow, TurningSplitter

_FRAMES = 30  # pixels of width that frames within a place take


class _Frame(QScrollArea):
    """A place in a window that may be smaller: its parts turn below each other, so that it scrolls up and down alone."""

    def __init__(self, name: str, view: QWidget):
        super().__init__()
        self.setObjectName(f"frame-{name}")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWidgetResizable(True)
        self.setWidget(view)
        layout = view.layout()
        margins = layout.contentsMargins() if layout is not None else QMargins()
        self._around = margins.left() + margins.right() + _FRAMES
        self._fit_height: Callable[[int], None] | None = getattr(view, "fit_height", None)
        self._turning = [
            part
            for part in view.findChildren(QWidget)
            if isinstance(part, Header | TurningRow | TurningSplitter)
        ]

    def resizeEvent(self, event: QResizeEvent) -> None:
        for part in self._turning:
            part.fit(self.viewport().width() - self._around)
        if self._fit_height is not None:
            self._fit_height(self.viewport().height())
        super().resizeEvent(event)


class Places(QWidget):
    """Shows one place at a time.

    Signals:
        status_message: a sentence for the status bar, from any place.
    """

    status_message = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.rail, self.stack = Rail(), QStackedWidget()
        theme.style(self.rail)
        self.views: dict[str, QWidget] = {}
        self._frames: dict[str, QScrollArea] = {}
        self._owners: dict[str, Any] = {}
        self._pieces = InTurn(self)
        self._shown: dict[str, Callable[[], None]] = {}
        self.rail.chosen.connect(self.go)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.rail)
        layout.addWidget(self.stack, 1)

    def add(
        self, name: str, view: QWidget, owner: Any = None, shown: Callable[[], None] | None = None
    ) -> None:
        """Make a place of `view`, under a name from `actions.PLACES`.

        Args:
            owner: the object that owns the view, where there is one. It has a `retheme` and may have
                a signal `status_message`.
            shown: called whenever the place is opened.
        """
        owner = view if owner is None else owner
        self.views[name] = view
        for part in styled_parts(view):
            theme.style(part)
        frame = _Frame(name, view)
        theme.style(frame.horizontalScrollBar())
        theme.style(frame.verticalScrollBar())
        self._frames[name] = frame
        self.stack.addWidget(frame)
        self._owners[name] = owner
        if hasattr(owner, "status_message"):
            owner.status_message.connect(self.status_message)
        if shown is not None:
            self._shown[name] = shown

    @property
    def current(self) -> str:
        """The name of the current place."""
        front = self.stack.currentWidget()
        return next((name for name, frame in self._frames.items() if frame is front), "")

    def go(self, name: str) -> None:
        """Show a place."""
        for part in styled_parts(self.views[name]):
            theme.restyle(part)
        self._pieces.do((name, "results"))
        self._pieces.do((name, "theme"))
        self.stack.setCurrentWidget(self._frames[name])
        self.rail.show_place(name)
        if name in self._shown:
            self._shown[name]()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter presses the button with the focus, and where no button or field has it, the place's primary one."""
        if event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)
            return
        focus = QApplication.focusWidget()
        button = (
            focus
            if isinstance(focus, QPushButton | QToolButton) and not self.rail.isAncestorOf(focus)
            else None
        )
        if button is None and (focus is None or self.rail.isAncestorOf(focus) or type(focus) is QWidget):
            here = self.views[self.current].findChildren(QPushButton)
            button = next(
                (b for b in here if b.property("primary") and b.isVisible() and b.isEnabled()), None
            )
        if button is not None and button.isEnabled():
            button.click()

    def retheme(self) -> None:
        """Take icons and colours of the theme: the current place now, the others one by one or when they are shown."""
        self.rail.retheme()
        self._change("theme", {name: owner.retheme for name, owner in self._owners.items()})

    def show_results(self, ways: Mapping[str, Callable[[], None]]) -> None:
        """Let places show the results of a run, each in its way: the current one now, the others as `retheme` does."""
        self._change("results", ways)

    def _change(self, what: str, ways: Mapping[str, Callable[[], None]]) -> None:
        for name, way in ways.items():
            self._pieces.put((name, what), way)
        self._pieces.do((self.current, what))


def styled_parts(view: QWidget) -> Sequence[QWidget]:
    """The parts of a place that have the stylesheet, each restyled by itself: `styled_parts` of a large place, else all of it."""
    return getattr(view, "styled_parts", (view,))
