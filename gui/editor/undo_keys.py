"""One undo: Ctrl+Z in a field takes back the last change of the pipeline, as it does everywhere else.

Only what is being typed and was not yet taken over is the field's own to undo.
"""

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QWidget

from gui.editor.commands import REDO_KEYS

_FIELDS = (QLineEdit, QPlainTextEdit, QAbstractSpinBox, QComboBox)


class UndoKeys(QObject):
    """Keeps the undo keys from the fields of watched pages.

    Signals:
        left: a person has left a field or pressed Enter in it.
    """

    left = Signal()

    def __init__(self, parent: QObject):
        super().__init__(parent)
        self._typing: QWidget | None = None
        self._keys = [QKeySequence(key) for key in ("Ctrl+Z", *REDO_KEYS)]

    def watch(self, page: QWidget) -> None:
        """Watch the fields that a page has now."""
        for kind in _FIELDS:
            for field in page.findChildren(kind):
                field.installEventFilter(self)
                if isinstance(field, QAbstractSpinBox | QLineEdit):
                    field.editingFinished.connect(self.left)
                if isinstance(field, QLineEdit):
                    field.textEdited.connect(lambda _words, field=field: self._begin(field))
                    field.editingFinished.connect(lambda field=field: self._finish(field))

    def _finish(self, field: QLineEdit) -> None:
        """What was taken over is the document's to undo: the field forgets how it was typed."""
        if field.isUndoAvailable() and not isinstance(field.parentWidget(), QAbstractSpinBox):
            cursor, quiet = field.cursorPosition(), field.blockSignals(True)
            field.setText(field.text())
            field.setCursorPosition(cursor)
            field.blockSignals(quiet)
        self._typing = None

    def settled(self) -> None:
        """Nothing that was typed waits any more: it was taken over, or the document was shown anew."""
        self._typing = None

    def _begin(self, field: QLineEdit) -> None:
        owner = field.parentWidget()
        # a number is taken over with every key
        self._typing = None if isinstance(owner, QAbstractSpinBox) else field

    def _own(self, field: QObject) -> bool:
        """Whether a field holds words of its own to take back."""
        if isinstance(field, QComboBox):
            field = field.lineEdit() or field
        if isinstance(field, QPlainTextEdit):
            return field.document().isUndoAvailable()
        return field is self._typing and isinstance(field, QLineEdit) and field.isUndoAvailable()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Refuse what the field would take for itself, so that the menu's action gets it."""
        if event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            assert isinstance(event, QKeyEvent)
            pressed = QKeySequence(event.keyCombination())
            if pressed in self._keys and not self._own(watched):
                event.ignore()
                return True
        return super().eventFilter(watched, event)
