"""What can be done with the list of stages: add, move, duplicate, remove, switch, undo."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QHBoxLayout, QListView, QMenu, QPushButton, QToolButton

from core.stages.catalogue import STAGES
from gui import theme
from gui.document import Document
from gui.editor import edits
from gui.editor.cards import Card, icon_of

_ICONS = {
    "move-up": "up",
    "move-down": "down",
    "duplicate": "duplicate",
    "remove": "remove",
    "undo": "undo",
    "redo": "redo",
}


class StageCommands(QObject):
    """The actions of the list, its toolbar and its menus.

    Signals:
        said: a sentence for the status bar.
    """

    said = Signal(str)

    def __init__(
        self,
        document: Document,
        view: QListView,
        selected: Callable[[], Card | None],
        select: Callable[[str, str], None],
    ):
        super().__init__(view)
        self._document, self._view = document, view
        self._selected, self._select = selected, select
        self.up = self._action("move-up", "Move up", "Alt+Up", lambda: self._move(-1))
        self.down = self._action("move-down", "Move down", "Alt+Down", lambda: self._move(1))
        self.duplicate = self._action("duplicate", "Duplicate", "Ctrl+D", self._duplicate)
        self.remove = self._action("remove", "Remove", "Delete", self._remove)
        stack = document.undo_stack
        self.undo, self.redo = stack.createUndoAction(self, "Undo"), stack.createRedoAction(self, "Redo")
        for action, name, key in (
            (self.undo, "undo", QKeySequence.StandardKey.Undo),
            (self.redo, "redo", QKeySequence.StandardKey.Redo),
        ):
            action.setObjectName(name)
            action.setShortcut(QKeySequence(key))
        self.actions = (self.up, self.down, self.duplicate, self.remove, self.undo, self.redo)
        self.add_menu = self._make_menu()
        self.add_button = QPushButton("Add stage")
        self.add_button.setObjectName("add-stage")
        self.add_button.setProperty("hasmenu", True)
        self.add_button.setToolTip("Add a stage behind the selected one")
        self.add_button.setMenu(self.add_menu)
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._context_menu)
        self.retheme()

    def _action(self, name: str, text: str, shortcut: str, slot: Callable[[], None]) -> QAction:
        action = QAction(text, self)
        action.setObjectName(name)
        action.setShortcut(QKeySequence(shortcut))
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.setToolTip(f"{text}  ({shortcut})")
        action.triggered.connect(lambda _checked=False: slot())
        self._view.addAction(action)
        return action

    def _make_menu(self) -> QMenu:
        menu = QMenu("Add stage", self._view)
        menu.setObjectName("add-menu")
        menu.setToolTipsVisible(True)
        group = ""
        for stage in STAGES.values():
            if stage.group != group:
                group = stage.group
                menu.addSection(group)
            action = menu.addAction(stage.title)
            action.setObjectName(f"add-{stage.id}")
            action.setToolTip(stage.help)
            action.triggered.connect(lambda _=False, kind=stage.id: self.add(kind))
        return menu

    def toolbar(self) -> QHBoxLayout:
        """A row with the menu of stages and a button for every action."""
        row = QHBoxLayout()
        row.setSpacing(2)
        row.addWidget(self.add_button)
        row.addStretch(1)
        for action in self.actions:
            button = QToolButton()
            button.setDefaultAction(action)
            button.setObjectName(f"tool-{action.objectName()}")
            button.setAccessibleName(_ICONS[action.objectName()].capitalize())
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            row.addWidget(button)
        return row

    def retheme(self) -> None:
        """Take the icons in the theme's colours."""
        self.add_button.setIcon(theme.icon("add"))
        for action in self.actions:
            action.setIcon(theme.icon(_ICONS[action.objectName()]))
        for action in self.add_menu.actions():
            if not action.isSeparator():
                kind = action.objectName().removeprefix("add-")
                action.setIcon(theme.icon(icon_of(STAGES[kind].group)))

    def update_enabled(self) -> None:
        """Which actions make sense for the selected card."""
        stage, pipeline = self._stage(), self._document.pipeline
        self.up.setEnabled(bool(stage) and edits.can_move(pipeline, stage, -1))
        self.down.setEnabled(bool(stage) and edits.can_move(pipeline, stage, 1))
        self.duplicate.setEnabled(bool(stage))
        self.remove.setEnabled(bool(stage) and len(pipeline.stages) > 1)

    def _stage(self) -> str:
        """Id of the selected stage, "" when something else is selected."""
        card = self._selected()
        return card.id if card is not None and card.kind == "stage" else ""

    def _title(self, id: str) -> str:
        return self._document.pipeline.stage(id).title

    def add(self, kind: str) -> None:
        """Put a new stage behind the selected one, and select it."""
        pipeline, id = edits.add_stage(self._document.pipeline, kind, self._stage())
        self._document.apply(pipeline, f"Add {STAGES[kind].title}")
        self._select("stage", id)

    def toggle(self, id: str, enabled: bool) -> None:
        """Switch a stage on or off."""
        changed = edits.set_enabled(self._document.pipeline, id, enabled)
        self._document.apply(changed, f"Switch {self._title(id)} {'on' if enabled else 'off'}")

    def _remove(self) -> None:
        id = self._stage()
        if id and len(self._document.pipeline.stages) > 1:
            title = self._title(id)
            self._document.apply(edits.remove_stage(self._document.pipeline, id), f"Remove {title}")
            self.said.emit(f"{title} was removed; Undo brings it back.")

    def _duplicate(self) -> None:
        id = self._stage()
        if id:
            pipeline, copy = edits.duplicate_stage(self._document.pipeline, id)
            self._document.apply(pipeline, f"Duplicate {self._title(id)}")
            self._select("stage", copy)

    def _move(self, by: int) -> None:
        id = self._stage()
        if id and edits.can_move(self._document.pipeline, id, by):
            moved = edits.move_stage(self._document.pipeline, id, by)
            self._document.apply(moved, f"Move {self._title(id)}")
            self._select("stage", id)

    def _context_menu(self, position: QPoint) -> None:
        menu = QMenu(self._view)
        menu.addMenu(self.add_menu)
        menu.addActions([self.duplicate, self.up, self.down, self.remove])
        menu.exec(self._view.viewport().mapToGlobal(position))
        menu.deleteLater()
