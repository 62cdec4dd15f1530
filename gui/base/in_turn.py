"""Work on the window's thread that can wait: one piece at a time, with the window's own events between two."""

from collections.abc import Callable, Hashable

from PySide6.QtCore import QObject, QTimer


class InTurn(QObject):
    """Keeps pieces of work in their order; each is done by the event loop, or before, when it is needed."""

    def __init__(self, parent: QObject):
        super().__init__(parent)
        self._pieces: dict[Hashable, Callable[[], None]] = {}
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._next)

    @property
    def waiting(self) -> int:
        """How many pieces are still to be done."""
        return len(self._pieces)

    def put(self, name: Hashable, piece: Callable[[], None]) -> None:
        """Do `piece` later, at the end; one of the same name that still waits is left out."""
        self._pieces.pop(name, None)
        self._pieces[name] = piece
        self._timer.start(0)

    def do(self, name: Hashable) -> None:
        """Do the piece of this name now, where it still waits."""
        piece = self._pieces.pop(name, None)
        if piece is not None:
            piece()

    def finish(self) -> None:
        """Do now what is still waiting."""
        while self._pieces:
            self._next()

    def forget(self) -> None:
        """Leave out what is still waiting."""
        self._pieces.clear()

    def _next(self) -> None:
        if self._pieces:
            self.do(next(iter(self._pieces)))
        if not self._pieces:
            self._timer.stop()
