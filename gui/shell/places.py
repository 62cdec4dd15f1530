"""The middle of the window: the rail, and the places that it leads to."""

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QWidget

from gui.shell.rail import Rail


class Places(QWidget):
    """Shows one place at a time.

    Signals:
        said: a sentence for the status bar, from any place.
    """

    said = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.rail, self.stack = Rail(), QStackedWidget()
        self.views: dict[str, QWidget] = {}
        self._keepers: list[Any] = []
        self._shown: dict[str, Callable[[], None]] = {}
        self.rail.chosen.connect(self.go)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.rail)
        layout.addWidget(self.stack, 1)

    def add(
        self, name: str, view: QWidget, keeper: Any = None, shown: Callable[[], None] | None = None
    ) -> None:
        """Make a place of `view`, under a name from `actions.PLACES`.

        Args:
            keeper: who keeps the view, where it does not keep itself. It has a `retheme` and may have
                a signal `said`.
            shown: called whenever the place comes to the front.
        """
        keeper = view if keeper is None else keeper
        self.views[name] = view
        self.stack.addWidget(view)
        self._keepers.append(keeper)
        if hasattr(keeper, "said"):
            keeper.said.connect(self.said)
        if shown is not None:
            self._shown[name] = shown

    @property
    def current(self) -> str:
        """The name of the place in front."""
        front = self.stack.currentWidget()
        return next((name for name, view in self.views.items() if view is front), "")

    def go(self, name: str) -> None:
        """Show a place."""
        self.stack.setCurrentWidget(self.views[name])
        self.rail.show_place(name)
        if name in self._shown:
            self._shown[name]()

    def retheme(self) -> None:
        """Take icons and colours of the theme."""
        for part in (self.rail, *self._keepers):
            part.retheme()
