"""What can be done with the cards: add, branch, move, duplicate, rename, remove, switch, mend, undo."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QListView, QMenu

from core.common.errors import Problem
from core.document import edits, stage_tree
from core.document.dimensions import ENABLED
from core.document.fixes import Fix, fix_for, fix_for_cause
from core.document.search import Free
from core.records.reports import Cause
from core.sources.catalogue import SOURCE_KINDS
from core.stages.catalogue import STAGES
from gui.base import theme
from gui.base.document import Document
from gui.base.translation import tr
from gui.editor.card_list import DropPosition
from gui.editor.cards import Card, CardModel
from gui.editor.stage_clipboard import StageClipboard
from gui.widgets.buttons import as_written

REDO_KEYS = ("Ctrl+Shift+Z", "Ctrl+Y")
_ICONS = {
    "cut-stage": "cut",
    "copy-stage": "copy",
    "paste-stage": "paste",
    "branch-here": "branch",
    "move-up": "up",
    "move-down": "down",
    "duplicate": "duplicate",
    "rename": "rename",
    "remove": "remove",
    "undo": "undo",
    "redo": "redo",
}


class StageCommands(QObject):
    """The actions of the chain, its toolbar and its menus.

    Signals:
        status_message: a sentence for the status bar.
        rename_wanted: the selected card's name is to be edited.
    """

    status_message = Signal(str)
    rename_wanted = Signal()

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
        self.up = self._action("move-up", tr("Move up"), ("Ctrl+Up", "Alt+Up"), lambda: self._move(-1))
        self.down = self._action(
            "move-down", tr("Move down"), ("Ctrl+Down", "Alt+Down"), lambda: self._move(1)
        )
        self.duplicate = self._action("duplicate", tr("Duplicate"), ("Ctrl+D",), self._duplicate)
        self.rename = self._action("rename", tr("Rename"), ("F2",), self.rename_wanted.emit)
        self.remove = self._action("remove", tr("Remove"), ("Delete",), self._remove)
        self.branch = self._action("branch-here", tr("Branch here"), ("Ctrl+B",), self._offer_branches)
        self.branch.setIconText(tr("Branch"))  # of the button, which has little room
        self.branch.setToolTip(tr("Start a second continuation of the selected card  (Ctrl+B)"))
        self.clipboard = StageClipboard(document, self.chosen_stages, self._after, select, self)
        self.cut = self._action("cut-stage", tr("Cut"), ("Ctrl+X",), self._cut)
        self.copy = self._action("copy-stage", tr("Copy"), ("Ctrl+C",), self._copy)
        self.paste = self._action("paste-stage", tr("Paste after it"), ("Ctrl+V",), self.clipboard.paste)
        self.switch = self._action("switch", tr("Switch off"), (), self._switch)
        self.leave_open = self._action(
            "leave-open", tr("Leave to a search whether it runs"), (), self._leave_open
        )
        self.leave_open.setCheckable(True)
        stack = document.undo_stack
        self.undo, self.redo = (
            stack.createUndoAction(self, tr("Undo")),
            stack.createRedoAction(self, tr("Redo")),
        )
        self.undo.setObjectName("undo")
        self.undo.setShortcut(QKeySequence(QKeySequence.StandardKey.Undo))
        self.redo.setObjectName("redo")
        self.redo.setShortcuts([QKeySequence(key) for key in REDO_KEYS])  # what people are used to differs
        self.history = (self.undo, self.redo)
        self.actions = (self.branch, self.duplicate, self.rename, self.up, self.down, self.remove)
        self.add_menu = self._make_menu("add", tr("Insert after it"), self.add)
        self.branch_menu = self._make_menu(
            "branch", tr("Branch here"), lambda kind: self.add(kind, branch=True)
        )
        view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        view.customContextMenuRequested.connect(self._context_menu)
        self.retheme()

    # actions, menus, toolbar

    def _action(self, name: str, text: str, shortcuts: tuple[str, ...], slot: Callable[[], None]) -> QAction:
        action = QAction(text, self)
        action.setObjectName(name)
        action.setShortcuts([QKeySequence(shortcut) for shortcut in shortcuts])
        action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
        action.setToolTip(f"{text}  ({shortcuts[0]})" if shortcuts else text)
        action.triggered.connect(lambda _checked=False: slot())
        self._view.addAction(action)
        return action

    def _make_menu(self, name: str, title: str, add: Callable[[str], None]) -> QMenu:
        menu = QMenu(title, self._view)
        menu.setObjectName(f"{name}-menu")
        menu.setToolTipsVisible(True)
        group = ""
        for stage in STAGES.values():
            if stage.group != group:
                group = stage.group
                menu.addSection(group)
            action = menu.addAction(stage.title)
            action.setObjectName(f"{name}-{stage.id}")
            action.setToolTip(stage.help)
            action.triggered.connect(lambda _=False, kind=stage.id: add(kind))
        return menu

    def retheme(self) -> None:
        """Take the icons in the theme's colours."""
        for action in (*self.actions, *self.history, self.cut, self.copy, self.paste):
            action.setIcon(theme.icon(_ICONS[action.objectName()]))
        for menu in (self.add_menu, self.branch_menu):
            menu.setIcon(theme.icon("add" if menu is self.add_menu else "branch"))
            for action in menu.actions():
                if not action.isSeparator():
                    kind = action.objectName().partition("-")[2]
                    action.setIcon(theme.icon(STAGES[kind].icon))

    def update_enabled(self) -> None:
        """Which actions make sense for the selected card."""
        card, pipeline = self._selected(), self._document.pipeline
        stage = self._stage()
        source = card is not None and card.kind == "source"
        self.up.setEnabled(bool(stage) and stage_tree.can_move(pipeline, stage, -1))
        self.down.setEnabled(bool(stage) and stage_tree.can_move(pipeline, stage, 1))
        self.branch.setEnabled(bool(stage) or source)
        self.duplicate.setEnabled(bool(stage) or source)
        self.rename.setEnabled(card is not None and card.kind != "data")
        last = len(pipeline.sources if source else pipeline.stages) == 1
        self.remove.setEnabled((bool(stage) or source) and not last)
        self.copy.setEnabled(bool(stage))
        self.cut.setEnabled(bool(stage) and not last)
        self.switch.setEnabled(bool(stage))
        self.leave_open.setEnabled(bool(stage))
        self.leave_open.setChecked(self._switch_path() in (pipeline.search.free if pipeline.search else {}))
        self.switch.setText(tr("Switch off") if card is None or card.enabled else tr("Switch on"))

    def _context_menu(self, position: QPoint) -> None:
        menu = self.context_menu()
        menu.exec(self._view.viewport().mapToGlobal(position))
        menu.deleteLater()

    def context_menu(self) -> QMenu:
        """What can be done with the selected card."""
        card = self._selected()
        menu = QMenu(self._view)
        menu.setObjectName("card-menu")
        if card is None or card.kind not in ("source", "stage"):
            menu.addMenu(self.add_menu)
            return menu
        for number, fix in enumerate(self.fixes(card)):
            action = menu.addAction(theme.icon("mend"), as_written(fix.words))
            action.setObjectName(f"mend-{number}")
            action.triggered.connect(lambda _=False, fix=fix: self.mend(fix))
        menu.addSeparator()
        menu.addMenu(self.add_menu)
        menu.addMenu(self.branch_menu)
        menu.addSeparator()
        menu.addActions([self.cut, self.copy, self.paste])
        self.paste.setEnabled(self.clipboard.can_paste())
        menu.addSeparator()
        menu.addActions([self.rename, self.duplicate])
        if card.kind == "stage":
            menu.addActions([self.switch, self.leave_open, self.up, self.down])
        menu.addSeparator()
        menu.addAction(self.remove)
        return menu

    def _offer_branches(self) -> None:
        rect = self._view.visualRect(self._view.currentIndex())
        self.branch_menu.popup(self._view.viewport().mapToGlobal(rect.bottomLeft()))

    # what is done

    def _stage(self) -> str:
        """Id of the selected stage, "" when something else is selected."""
        card = self._selected()
        return card.id if card is not None and card.kind == "stage" else ""

    def _switch_path(self) -> str:
        """What a search calls the switch of the selected stage."""
        return f"stages.{self._stage()}.{ENABLED}"

    def _leave_open(self) -> None:
        """Leave it to a search whether the selected stage runs, or decide it again."""
        free = Free() if self.leave_open.isChecked() else None
        changed = edits.set_free(self._document.pipeline, self._switch_path(), free)
        self._document.apply(changed, tr("Change what is free"))

    def chosen_stages(self) -> tuple[str, ...]:
        """Ids of the selected stages, in the order of the file."""
        rows = sorted(index.row() for index in self._view.selectionModel().selectedIndexes())
        model = self._view.model()
        assert isinstance(model, CardModel)
        return tuple(model.cards[row].id for row in rows if model.cards[row].kind == "stage")

    def _after(self) -> str:
        """Id of the source or stage that something new continues, "" where none is selected."""
        card = self._selected()
        return card.id if card is not None and card.kind in ("source", "stage") else ""

    def _title(self, id: str) -> str:
        return edits.titles(self._document.pipeline)[id]

    def add(self, kind: str, branch: bool = False) -> None:
        """Put a new stage behind the selected card, or as a branch of it, and select it."""
        self._add_stage(kind, self._after(), branch)

    def add_entry(self, key: str) -> None:
        """Put an entry of the palette behind the selected card."""
        group, _, kind = key.partition(":")
        if group == "stage":
            self.add(kind)
        else:
            self._add_source(kind)

    def drop(self, drop: DropPosition) -> None:
        """Do what a drop means."""
        verb, _, name = drop.what.partition(":")
        if verb == "source":
            self._add_source(name)
        elif verb == "stage":
            self._add_stage(name, drop.after, drop.branch)
        else:
            place = stage_tree.branch_from if drop.branch else stage_tree.move_after
            self._document.apply(
                place(self._document.pipeline, name, drop.after),
                tr("Move {title}", title=self._title(name)),
            )
            self._select("stage", name)

    def may_drop(self, drop: DropPosition) -> bool:
        """Whether a drop there would change something that can be changed."""
        verb, _, name = drop.what.partition(":")
        pipeline = self._document.pipeline
        if verb != "move":
            return True
        if name not in pipeline.stage_ids or name == drop.after:
            return False
        if pipeline.written_parent(pipeline.stage(name)) == drop.after:
            return False
        return not (drop.branch and drop.after in stage_tree.descendants(pipeline, name))

    def _add_stage(self, kind: str, after: str, branch: bool) -> None:
        pipeline, id = stage_tree.add_stage(self._document.pipeline, kind, after, branch)
        self._document.apply(pipeline, tr("Add {title}", title=STAGES[kind].title))
        self._select("stage", id)

    def _add_source(self, kind: str) -> None:
        pipeline, id = stage_tree.add_source(self._document.pipeline, kind)
        self._document.apply(pipeline, tr("Add {source}", source=SOURCE_KINDS[kind].title))
        self._select("source", id)
        self.status_message.emit(tr("Drag a stage onto the new source, or let one continue it, to use it."))

    def toggle(self, id: str, enabled: bool) -> None:
        """Switch a stage on or off."""
        changed = edits.set_enabled(self._document.pipeline, id, enabled)
        words = tr("Switch {stage} on") if enabled else tr("Switch {stage} off")
        self._document.apply(changed, words.format(stage=self._title(id)))

    def _switch(self) -> None:
        id = self._stage()
        if id:
            self.toggle(id, not self._document.pipeline.stage(id).enabled)

    def _remove(self) -> None:
        card, pipeline = self._selected(), self._document.pipeline
        if card is None or card.kind not in ("source", "stage"):
            return
        remove = stage_tree.remove_source if card.kind == "source" else stage_tree.remove_stage
        ids = (card.id,) if card.kind == "source" else self.chosen_stages()
        title = ", ".join(self._title(id) for id in ids)
        try:
            for id in ids:
                pipeline = remove(pipeline, id)
        except stage_tree.RefusedEdit as refused:
            self.status_message.emit(str(refused))
            return
        self._document.apply(pipeline, tr("Remove {title}", title=title))
        self.status_message.emit(tr("{title} was removed; Undo brings it back.", title=title))

    def _copy(self) -> None:
        self.clipboard.copy()

    def _cut(self) -> None:
        if self.clipboard.copy():
            self._remove()

    def _duplicate(self) -> None:
        card = self._selected()
        if card is not None and card.kind in ("source", "stage"):
            duplicate = stage_tree.duplicate_source if card.kind == "source" else stage_tree.duplicate_stage
            pipeline, copy = duplicate(self._document.pipeline, card.id)
            self._document.apply(pipeline, tr("Duplicate {title}", title=self._title(card.id)))
            self._select(card.kind, copy)

    def _move(self, by: int) -> None:
        id = self._stage()
        if id and stage_tree.can_move(self._document.pipeline, id, by):
            moved = stage_tree.move_stage(self._document.pipeline, id, by)
            self._document.apply(moved, tr("Move {title}", title=self._title(id)))
            self._select("stage", id)

    # mending

    def fixes(self, card: Card) -> list[Fix]:
        """What mends the problems of a card."""
        pipeline = self._document.pipeline
        nodes = pipeline.sources if card.kind == "source" else pipeline.stages
        index = [node.id for node in nodes].index(card.id)
        mine = [p for p in self._document.problems if p.place[:2] == (f"{card.kind}s", index)]
        fixes_of_card = [fix for fix in map(self.fix, mine) if fix is not None]
        return list({fix.words: fix for fix in fixes_of_card}.values())

    def fix(self, problem: Problem) -> Fix | None:
        """What mends a problem by itself."""
        return fix_for(self._document.pipeline, problem)

    def mend_cause(self, cause: Cause) -> None:
        """Apply the fix of a cause of a stage's figures, where this document has that stage."""
        fix = fix_for_cause(self._document.pipeline, cause)
        if fix is None:
            self.status_message.emit(
                tr("Nothing to change: this pipeline has no such stage, or is set so already.")
            )
        else:
            self.mend(fix)

    def mend(self, fix: Fix) -> None:
        """Apply a fix."""
        self._document.apply(fix.pipeline, fix.words)
        self.status_message.emit(tr("Done: {words}. Undo takes it back.", words=fix.words))
