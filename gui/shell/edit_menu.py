"""The Edit menu: undo, the clipboard for what has the focus, what can be done with a stage, search, settings."""

from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QApplication, QLineEdit, QMenu, QMenuBar, QPlainTextEdit, QTextEdit, QWidget
from shiboken6 import isValid

from gui.base import theme
from gui.base.actions import Actions
from gui.base.translation import tr
from gui.editor.view import EditorView

_Text = QLineEdit | QPlainTextEdit | QTextEdit


class EditMenu(QObject):
    """Fills the menu, and says before it opens what can be used.

    Args:
        place: the place that is shown; stages are edited in "pipeline" alone.
    """

    def __init__(self, menu: QMenu, actions: Actions, editor: EditorView, place: Callable[[], str]):
        super().__init__(menu)
        self._menu, self._editor, self._place = menu, editor, place
        self._focus: QWidget | None = None
        commands, keys = editor.commands, QKeySequence.StandardKey
        self.cut = self._action("edit-cut", tr("Cu&t"), keys.Cut, commands.cut)
        self.copy = self._action("edit-copy", tr("&Copy"), keys.Copy, commands.copy)
        self.paste = self._action("edit-paste", tr("&Paste"), keys.Paste, commands.paste)
        self.stage = QMenu(tr("&Stage"), menu)
        self.stage.setObjectName("menu-stage")
        self.stage.addMenu(commands.add_menu)
        self.stage.addMenu(commands.branch_menu)
        self.stage.addSeparator()
        self.stage.addActions(
            [commands.rename, commands.duplicate, commands.switch, commands.up, commands.down]
        )
        self.stage.addSeparator()
        self.stage.addAction(commands.remove)
        menu.addActions([commands.undo, commands.redo])
        menu.addSeparator()
        menu.addActions([self.cut, self.copy, self.paste])
        menu.addSeparator()
        menu.addMenu(self.stage)
        menu.addSeparator()
        menu.addAction(actions.commands)
        menu.addSeparator()
        actions.settings.setMenuRole(QAction.MenuRole.PreferencesRole)
        menu.addAction(actions.settings)
        menu.aboutToShow.connect(self.update)
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._focus_changed)
        self.retheme()

    def retheme(self) -> None:
        for action, name in ((self.cut, "cut"), (self.copy, "copy"), (self.paste, "paste")):
            action.setIcon(theme.icon(name))

    def update(self) -> None:
        """What can be used now: in a field its text, in the list of cards its stages."""
        text, commands = self._text(), self._editor.commands
        stages = text is None and self._place() == "pipeline"
        chosen = bool(commands.chosen_stages())
        self.copy.setEnabled(_has_selection(text) or (stages and chosen))
        self.cut.setEnabled(
            (_has_selection(text) and not _read_only(text)) or (stages and commands.cut.isEnabled())
        )
        self.paste.setEnabled(
            (text is not None and not _read_only(text)) or (stages and commands.clipboard.can_paste())
        )
        self.stage.setEnabled(self._place() == "pipeline")

    def _action(self, name: str, words: str, key: QKeySequence.StandardKey, on_stages: QAction) -> QAction:
        """An action whose key is only shown: fields and the list of cards have it for themselves."""
        action = QAction(words, self._menu)
        action.setObjectName(name)
        action.setText(f"{words}\t{QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)}")
        verb = name.removeprefix("edit-")

        def act() -> None:
            text = self._text()
            if text is not None:
                getattr(text, verb)()
            elif self._place() == "pipeline":
                on_stages.trigger()

        action.triggered.connect(act)
        return action

    def _focus_changed(self, _before: QWidget | None, now: QWidget | None) -> None:
        """Menus take the focus while they are open; what had it before is meant."""
        if now is not None and not isinstance(now, QMenu | QMenuBar):
            self._focus = now

    def _text(self) -> _Text | None:
        """The field with the focus."""
        field = QApplication.focusWidget()
        if field is None or isinstance(field, QMenu | QMenuBar):
            field = (
                self._focus if self._focus is not None and isValid(self._focus) else None
            )  # a closed dialog's is gone
        if isinstance(field, _Text):
            return field
        return field.findChild(QLineEdit) if field is not None and field.isVisible() else None


def _has_selection(text: _Text | None) -> bool:
    if text is None:
        return False
    return text.hasSelectedText() if isinstance(text, QLineEdit) else text.textCursor().hasSelection()


def _read_only(text: _Text | None) -> bool:
    return text is not None and text.isReadOnly()
