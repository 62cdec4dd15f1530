"""The Start place: three ways in, what was open last, the runs from before, and published systems."""

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QHideEvent, QKeyEvent, QKeySequence, QShortcut, QShowEvent
from PySide6.QtWidgets import (  # fmt: skip
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from core.common.durations import date_and_time
from core.runs.library import Library, RunLine
from core.runs.trash import KEPT_DAYS, Deleted
from gui.base import theme
from gui.base.translation import tr
from gui.start.recent import RecentRow
from gui.start.recipe_cards import RecipeCards
from gui.start.run_details import RunDetails
from gui.start.run_table import RunTable
from gui.start.ways import Ways
from gui.widgets.buttons import ActionButton, EmptyState, Header, as_written, card, text
from gui.widgets.search_box import SearchBox
from gui.widgets.tabs import Tabs

_SEARCH_MS = 120


class StartView(QWidget):
    """Shows a `Library`.

    Signals:
        seen: the place has come into view.
        way_chosen: "tour", "images" or "model".
        path_chosen: a recipe's or pipeline's file, or a run's folder, to open.
        compare_wanted: folders of runs to show side by side.
        reveal_wanted: a run's folder.
        edited: a run, and its new name, tags and notes.
        delete_wanted: runs to delete.
        undo_wanted: the last deletion shall be undone.
        restore_wanted: a deleted run to put back.
        empty_wanted: deleted runs shall go for good.
    """

    seen = Signal()
    way_chosen = Signal(str)
    path_chosen = Signal(object)
    compare_wanted = Signal(list)
    reveal_wanted = Signal(object)
    edited = Signal(object, str, tuple, str)
    delete_wanted = Signal(list)
    undo_wanted = Signal()
    restore_wanted = Signal(object)
    empty_wanted = Signal()

    def __init__(self, open_pipeline: QAction, open_run: QAction, run: QAction):
        super().__init__()
        self.setObjectName("place-start")
        self.header = Header(
            tr("Start"), ActionButton(open_pipeline), ActionButton(open_run), ActionButton(run, primary=True)
        )
        self.ways, self.recent = Ways(), RecentRow()
        self.recipes, self.table, self.details = RecipeCards(), RunTable(), RunDetails()
        self.recipes.chosen.connect(self.path_chosen)
        self.search = SearchBox(
            "run-search",
            tr("Search the runs"),
            tr("Search: names, tags, data sets, top-1>90, size<2 …  (Ctrl+F)"),
        )
        self._searching = QTimer(self)
        self._searching.setSingleShot(True)
        self._searching.setInterval(_SEARCH_MS)
        self._searching.timeout.connect(lambda: self.table.search(self.search.text()))
        self.tabs = Tabs("start-tabs", tr("Runs and published systems"))
        pages = self._runs(), self._published()
        for page, title in zip(pages, (tr("Runs"), tr("Published systems")), strict=True):
            self.tabs.addTab(page, title)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(10)
        layout.addWidget(self.header)
        layout.addWidget(self.ways)
        layout.addWidget(self.recent)
        layout.addWidget(self.tabs, 1)
        self.styled_parts = (self.header, self.ways, self.recent, self.tabs.tabBar(), *pages)
        self._connect()
        self.retheme()
        self.show_deleted([], [])

    def _published(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(8)
        column.addWidget(
            text(
                tr("Studies rebuilt as pipelines, with what their papers report beside what is measured here. The small "
                   "ones run in minutes on the bundled images; the others want their own data and a GPU."),
                "muted",
                wrap=True,
            )
        )  # fmt: skip
        column.addWidget(self.recipes, 1)
        return page

    def _runs(self) -> QWidget:
        self.search.setAcceptDrops(False)
        self.trash = QPushButton()
        self.trash.setObjectName("run-trash")
        self.trash.setProperty("hasmenu", True)
        self.trash_menu = QMenu(self.trash)
        self.trash.setMenu(self.trash_menu)
        top = QHBoxLayout()
        top.setSpacing(10)
        top.addWidget(self.search, 1)
        top.addWidget(self.trash)
        self.empty = EmptyState("runs", "", "")
        frame = card()
        inside = QVBoxLayout(frame)
        inside.setContentsMargins(1, 1, 1, 1)
        self._stack = QStackedWidget()
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.table)
        inside.addWidget(self._stack)
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(8)
        column.addLayout(top)
        column.addWidget(frame, 1)
        column.addWidget(self._undo_bar())
        column.addWidget(self.details)
        return page

    def _undo_bar(self) -> QWidget:
        self.bar = card("notice")
        self.bar.setObjectName("undo-bar")
        self.bar_words = text("", "", wrap=True)
        self.bar_words.setObjectName("undo-words")
        self.undo, close = QPushButton(tr("Undo")), QPushButton(tr("Dismiss"))
        self.undo.setObjectName("undo-delete")
        close.setObjectName("undo-dismiss")
        self.undo.clicked.connect(self.undo_wanted)
        close.clicked.connect(self.bar.hide)
        self._bar_icon = QLabel()
        row = QHBoxLayout(self.bar)
        row.setContentsMargins(14, 8, 8, 8)
        row.setSpacing(10)
        row.addWidget(self._bar_icon)
        row.addWidget(self.bar_words, 1)
        row.addWidget(self.undo)
        row.addWidget(close)
        return self.bar

    def _connect(self) -> None:
        table, details = self.table, self.details
        self.search.textChanged.connect(lambda _text: self._searching.start())
        self.ways.chosen.connect(self.way_chosen)
        self.recent.chosen.connect(self.path_chosen)
        table.opened.connect(self.path_chosen)
        table.choice_changed.connect(self._show_choice)
        table.runs.modelReset.connect(self._show_list)
        details.open_wanted.connect(self.path_chosen)
        details.reveal_wanted.connect(self.reveal_wanted)
        details.edited.connect(self.edited)
        details.compare_wanted.connect(
            lambda: self.compare_wanted.emit([one.folder for one in table.chosen()])
        )
        for source in (table, details):
            source.delete_wanted.connect(lambda: self.delete_wanted.emit(table.chosen()))
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._context_menu)
        find = QShortcut(QKeySequence.StandardKey.Find, self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.search.setFocus)
        rename = QShortcut(QKeySequence("F2"), table)
        rename.setContext(Qt.ShortcutContext.WidgetShortcut)
        rename.activated.connect(self._rename)

    def event(self, event: QEvent) -> bool:
        """Undo is that of the last deletion here, not of an edit in a place that nobody sees."""
        if event.type() == QEvent.Type.ShortcutOverride and _undoes(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not _undoes(event):
            super().keyPressEvent(event)
        elif self.bar.isVisible():
            self.undo_wanted.emit()

    # what is shown

    def show_library(self, library: Library) -> None:
        """Show these recipes and runs."""
        self.recipes.recipes.show_lines([line for line in library.recipes if line.recipe.study])
        self.table.show_lines(library.runs)

    def show_document(self, name: str) -> None:
        """Say what Run would run."""
        self.header.show_texts(
            tr("Start"), tr("“{name}” is open. Open another one here, or drag it into the window.", name=name)
        )

    def show_run(self, line: RunLine) -> None:
        """A run got other texts."""
        self.table.runs.replace(line)
        self._show_choice()

    def _show_choice(self) -> None:
        """What is chosen can be named and noted; while nothing is, the list has the room."""
        chosen = self.table.chosen()
        self.details.show_choice(chosen)
        self.details.setVisible(bool(chosen))

    def show_deleted(self, just_now: Sequence[Deleted], before: Sequence[Deleted]) -> None:
        """Offer to undo the last deletion, and to put back what was deleted before."""
        self.bar.setVisible(bool(just_now))
        if just_now:
            first = f"“{just_now[0].name}”" if len(just_now) == 1 else tr("{count} runs", count=len(just_now))
            off = all(one.entry is not None for one in just_now)
            end = (
                tr("off the list; the folder stays where it is.")
                if off
                else tr("deleted, kept for {kept_days} days.", kept_days=KEPT_DAYS)
            )
            self.bar_words.setText(f"{first} {'are' if len(just_now) > 1 else 'is'} {end}")
        self.trash.setVisible(bool(before))
        self.trash.setText(tr("Deleted ({count})", count=len(before)))
        self.trash_menu.clear()
        for number, deleted in enumerate(before[:20]):
            day = date_and_time(deleted.at).split(",")[0]
            entry = self.trash_menu.addAction(
                tr("Put back “{name}”, deleted {day}", name=as_written(deleted.name), day=day)
            )
            entry.setObjectName(f"put-back-{number}")
            entry.triggered.connect(lambda _=False, deleted=deleted: self.restore_wanted.emit(deleted))
        self.trash_menu.addSeparator()
        self.trash_menu.addAction(tr("Delete all of them for good…"), self.empty_wanted.emit).setObjectName(
            "empty-trash"
        )

    def _show_list(self) -> None:
        runs = self.table.runs
        self.empty.title.setText(tr("No run fits the search") if runs.all else tr("No runs yet"))
        self.empty.advice.setText(
            tr("Search for part of a name, a tag, a note or a date.")
            if runs.all
            else tr(
                "Begin with one of the three above and press Run; every run is listed here. "
                "Run folders from other machines can be dragged into the window."
            )
        )
        self._stack.setCurrentIndex(1 if runs.lines else 0)

    def retheme(self) -> None:
        """Take icons and colours of the theme."""
        self.ways.retheme()
        self.details.retheme()
        self.undo.setIcon(theme.icon("undo"))
        self.trash.setIcon(theme.icon("remove"))
        self._bar_icon.setPixmap(theme.pixmap("remove", "warning", 18, self.devicePixelRatioF()))
        self.recipes.viewport().update()
        self.table.viewport().update()

    # what a person does

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.seen.emit()

    def hideEvent(self, event: QHideEvent) -> None:
        self.details.flush()
        super().hideEvent(event)

    def _rename(self) -> None:
        self.details.name.setFocus()
        self.details.name.selectAll()

    def _context_menu(self, where: QPoint) -> None:
        if not self.table.chosen():
            return
        details, menu = self.details, QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for button, slot in (
            (details.open, details.open.click), (details.compare, details.compare.click), (None, self._rename),
            (details.reveal, details.reveal.click), (details.delete, details.delete.click),
        ):  # fmt: skip
            entry = menu.addAction(button.text() if button else tr("Rename  (F2)"), slot)
            entry.setEnabled(button.isEnabled() if button else details.name.isEnabled())
        menu.popup(self.table.viewport().mapToGlobal(where))


def _undoes(event: QEvent) -> bool:
    return isinstance(event, QKeyEvent) and event.matches(QKeySequence.StandardKey.Undo)
