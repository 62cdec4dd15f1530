"""The editor: palette, chain of cards, the selected card's settings, and the strip of problems."""

from collections.abc import Callable, Sequence

from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import (  # fmt: skip
    QApplication,
    QComboBox,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from core.common.errors import Problem
from core.document import edits
from core.document.data_axis import DATA_AXIS
from core.document.pipeline import Pipeline
from gui.base.document import Document
from gui.base.translation import tr
from gui.editor.card_list import CardList
from gui.editor.cards import Card, CardModel
from gui.editor.check_panel import CheckPanel
from gui.editor.commands import StageCommands
from gui.editor.data_panel import DataPanel
from gui.editor.forecasts import Forecasts
from gui.editor.palette import Palette
from gui.editor.panels import NodePanel, Panel
from gui.editor.pipeline_panel import PipelinePanel
from gui.editor.problems import ProblemStrip
from gui.editor.tool_row import ToolRow
from gui.editor.trusting import Trusting
from gui.editor.undo_keys import UndoKeys
from gui.widgets.buttons import ActionButton, ElidedLabel, Header, card
from gui.widgets.fields import Option
from gui.widgets.form import SettingPath
from gui.widgets.narrow_layout import TurningSplitter

_LOW = 700  # pixels: in less height what stands around the settings takes less room
_FORM = 420  # pixels of the settings' card where it stands below the others
_MOST_PANELS = 16  # that are kept: a form has hundreds of widgets


class EditorView(QWidget):
    """Edits a `Document`.

    Args:
        forecasts: what is known of the document before it runs.
        trusting: its Python files that nobody trusts yet.
        checkpoints: networks of finished runs, asked for when a panel offers them.

    Signals:
        status_message: a sentence for the status bar.
    """

    status_message = Signal(str)

    def __init__(
        self,
        document: Document,
        run_action: QAction,
        check_action: QAction,
        resume_action: QAction,
        forecasts: Forecasts,
        trusting: Trusting,
        checkpoints: Callable[[], Sequence[Option]] = lambda: (),
    ):
        super().__init__()
        self.setObjectName("place-pipeline")
        self.document, self.forecasts, self._checkpoints = document, forecasts, checkpoints
        self.trusting = trusting
        self._panels: dict[tuple[str, str, str], Panel] = {}
        self._low = False
        self.model = CardModel()
        self.header = Header(
            "",
            ActionButton(check_action),
            ActionButton(resume_action),
            ActionButton(run_action, primary=True),
        )
        self.list = CardList(self.model, lambda drop: self.commands.may_drop(drop))
        self.commands = StageCommands(document, self.list, lambda: self.selected, self.select)
        self.commands.status_message.connect(self.status_message)
        self.commands.clipboard.status_message.connect(self.status_message)
        self.commands.rename_wanted.connect(self._rename)
        self.list.dropped.connect(self.commands.drop)
        self.model.toggled.connect(self.commands.toggle)
        self.palette_ = Palette()
        self.palette_.chosen.connect(self.commands.add_entry)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self)
        find.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        find.activated.connect(self.palette_.focus_search)
        self.check_panel = CheckPanel(check_action)
        self.strip = ProblemStrip(self.commands.fix)
        self.strip.chosen.connect(self.go_to)
        self.strip.mended.connect(self.commands.mend)
        self.undo_keys = UndoKeys(self)
        self.undo_keys.left.connect(document.end_merging)
        self.panel: Panel | None = None
        self._page = QWidget()
        self._page.setProperty("role", "page")
        pages = QVBoxLayout(self._page)
        pages.setContentsMargins(0, 0, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(22, 16, 22, 14)
        layout.setSpacing(12)
        layout.addWidget(self.header)
        self.running = ElidedLabel()
        self.running.setObjectName("editor-running")
        self.running.hide()
        layout.addWidget(self.running)
        body = self._body()
        layout.addWidget(body, 1)
        layout.addWidget(self.check_panel)
        layout.addWidget(self.strip)
        columns = (body.widget(index) for index in range(body.count()))
        self.styled_parts = (self.header, self.running, *columns, self.check_panel, self.strip)
        document.changed.connect(self.refresh)
        document.changed.connect(self.undo_keys.settled)
        forecasts.changed.connect(self._show_forecast)
        trusting.changed.connect(self._show_untrusted)
        self._show_cards()
        self.select("stage", document.pipeline.stages[0].id)
        self.list.selectionModel().currentChanged.connect(self._selected)  # its form comes with `retheme`

    def _body(self) -> TurningSplitter:
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(ToolRow(self.commands.actions, self.commands.history))
        column.addWidget(self.list, 1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self._page)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._scroll = scroll
        right = card()
        inside = QVBoxLayout(right)
        inside.setContentsMargins(1, 1, 1, 1)
        inside.addWidget(scroll)
        for part, width in ((self.palette_, 140), (left, 240), (right, 430)):
            part.setMinimumWidth(width)
        splitter = TurningSplitter("editor-splitter", self.palette_, left, right, heights=(240, 240, _FORM))
        splitter.setSizes([200, 396, 546])
        splitter.setStretchFactor(2, 1)
        return splitter

    def fit_height(self, room: int) -> None:
        """Leave the settings room in a place of so many pixels of height."""
        low = room < _LOW
        if low != self._low:
            self._low = low
            self.check_panel.set_low(low)
            self.strip.set_low(low)
            for panel in self._panels.values():
                panel.set_low(low)

    def retheme(self) -> None:
        """Take icons and colours of the theme."""
        self.commands.retheme()
        self.palette_.retheme()
        self.check_panel.retheme()
        for panel in self._panels.values():
            panel.retheme()
        self.refresh()

    # what is shown

    @property
    def selected(self) -> Card | None:
        row = self.list.currentIndex().row()
        return self.model.cards[row] if 0 <= row < len(self.model.cards) else None

    def refresh(self) -> None:
        """Show the document as it is now."""
        pipeline, before = self.document.pipeline, self.selected
        row = self.list.currentIndex().row()
        self.header.show_texts(pipeline.name, pipeline.about)
        self._show_cards()
        if self.selected is None and self.model.cards:
            place = self.model.row_of(before.kind, before.id) if before else -1
            self._select_row(place if place >= 0 else max(0, min(row, len(self.model.cards) - 1)))
        self.strip.show_problems(self.document.problems, pipeline)
        self._show_panel()
        self.commands.update_enabled()
        QTimer.singleShot(0, self.list, lambda: self.list.scrollTo(self.list.currentIndex()))

    def show_running(self, name: str) -> None:
        """Say that the run called so, "" for none, does not see what is edited here."""
        self.running.setText(
            tr("The run of “{name}” goes on with the settings that it started with; what you change here counts from the next run on.",
               name=name)
        )  # fmt: skip
        self.running.setVisible(bool(name))

    def _show_cards(self) -> None:
        forecasts = self.forecasts
        self.model.show_document(
            self.document.pipeline, self.document.problems, forecasts.by_stage, forecasts.times
        )

    def _show_forecast(self) -> None:
        """Counts or times have changed; the document has not."""
        self._show_cards()
        self._show_figures()

    def _show_figures(self) -> None:
        chosen, forecasts = self.selected, self.forecasts
        if self.panel is None or chosen is None:
            return
        counts = (forecast.validation_images for forecast in forecasts.by_stage.values())
        self.panel.show_validation_images(next((count for count in counts if count is not None), None))
        now = forecasts.by_stage.get(chosen.id)
        before = forecasts.by_stage.get(now.before) if now is not None else None
        otherwise = forecasts.failure or (tr("Counting …") if forecasts.waiting else "")
        if self.document.problems and now is None:
            otherwise = tr("Counted when the problems are solved.")
        elif chosen.kind == "stage" and not chosen.enabled:
            otherwise = tr("Switched off.")
        self.panel.show_forecast(now, before, forecasts.times.get(chosen.id), otherwise)

    def _show_panel(self) -> None:
        chosen = self.selected
        if chosen is None:
            return
        pipeline = self.document.pipeline
        kind = next((n.kind for n in (*pipeline.sources, *pipeline.stages) if n.id == chosen.id), "")
        key = (chosen.kind, chosen.id, kind)
        panel = self._panels.pop(key, None) or self._make_panel(chosen)
        self._panels[key] = panel  # most recently used last
        if len(self._panels) > _MOST_PANELS:
            self._panels.pop(next(iter(self._panels))).deleteLater()
        if self.panel is not panel:
            focused = QApplication.focusWidget()
            inside = focused is not None and self.panel is not None and self.panel.isAncestorOf(focused)
            if self.panel is not None:
                self.panel.hide()
            self.panel = panel
            panel.show()
            self._keep_focus(panel, focused.objectName() if focused is not None and inside else "")
            self._scroll.verticalScrollBar().setValue(0)
        problems = self._problems_of(chosen)
        words = {where: f"{p.message} {p.advice}".strip() for where, p in problems.items()}
        panel.show_pipeline(pipeline, self.document.base, words)
        if problems:
            fixes = {where: self.commands.fix(problem) for where, problem in problems.items()}
            panel.show_fixes(words, {where: fix.words for where, fix in fixes.items() if fix is not None})
        self._show_untrusted()
        self._show_figures()

    @staticmethod
    def _keep_focus(panel: Panel, name: str) -> None:
        """Another form for the same card: the keyboard stays in the field of the same name."""
        field = panel.findChild(QWidget, name) if name else None
        if field is not None:
            field.setFocus(Qt.FocusReason.OtherFocusReason)

    def _show_untrusted(self) -> None:
        if self.panel is not None and self.selected is not None:
            self.panel.show_untrusted(self.trusting.of(self.selected.id))

    def _make_panel(self, chosen: Card) -> Panel:
        panel: Panel
        if chosen.kind == "pipeline":
            panel = PipelinePanel()
        elif chosen.kind == "data":
            panel = DataPanel()
        else:
            panel = NodePanel(edits.find_node(self.document.pipeline, chosen.id), self._checkpoints)
            panel.trust.view_wanted.connect(self.trusting.view)
            panel.trust.trusted.connect(self.trusting.trust)
        panel.set_low(self._low)
        panel.edited.connect(self._edited)
        panel.mend_wanted.connect(self._mend)
        self.undo_keys.watch(panel)
        self._page.layout().addWidget(panel)  # type: ignore[union-attr]
        return panel

    def take_over(self) -> None:
        """Take what is being typed into the document, as leaving the field would."""
        field = QApplication.focusWidget()
        if field is not None and self._page.isAncestorOf(field):
            if isinstance(field, QComboBox):
                field = field.lineEdit() or field
            finished = getattr(field, "editingFinished", None) or getattr(field, "left", None)
            if finished is not None:
                finished.emit()

    def _rename(self) -> None:
        if self.panel is not None:
            self.panel.rename()

    def _mend(self, where: SettingPath) -> None:
        """Apply the fix of a problem of the selected card."""
        chosen = self.selected
        problem = self._problems_of(chosen).get(where) if chosen is not None else None
        fix = self.commands.fix(problem) if problem is not None else None
        if fix is not None:
            self.commands.mend(fix)

    def _problems_of(self, chosen: Card) -> dict[SettingPath, Problem]:
        place = _place(self.document.pipeline, chosen)
        problems: dict[SettingPath, Problem] = {}
        for problem in self.document.problems:
            if problem.place[: len(place)] == place:
                where = tuple(str(part) for part in problem.place[len(place) :] if part != "settings")
                problems[where] = problem
            elif chosen.kind == "data" and problem.place[:2] == DATA_AXIS:
                problems[tuple(map(str, problem.place))] = problem
            elif (free := _free_place(problem, chosen)) is not None:
                problems[free] = problem
        return problems

    def select(self, kind: str, id: str = "") -> None:
        """Select a card."""
        self._select_row(max(0, self.model.row_of(kind, id)))

    def _select_row(self, row: int) -> None:
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.list.selectionModel().setCurrentIndex(self.model.index(row), flags)

    def _selected(self, _now: QModelIndex, _before: QModelIndex) -> None:
        self._show_panel()
        self.commands.update_enabled()

    def go_to(self, problem: Problem) -> None:
        """Select the card that a problem is about, and its field."""
        place, pipeline = problem.place, self.document.pipeline
        if place[:1] == ("data",):
            self.select("data")
        elif place[:2] == DATA_AXIS:
            self.select("data")
            if isinstance(self.panel, DataPanel) and len(place) > 3:
                self.panel.data_sets.show_data_set(str(place[3]))
            place = ("data", *place[4:])
        elif len(place) > 1 and place[0] in ("sources", "stages") and isinstance(place[1], int):
            nodes = pipeline.sources if place[0] == "sources" else pipeline.stages
            self.select(str(place[0])[:-1], nodes[place[1]].id)
        elif place[:2] == ("search", "free") and len(place) > 2:
            group, id = str(place[2]).split(".")[:2]
            self.select(group.removesuffix("s"), id)
            place = ("search", "free", *str(place[2]).split(".")[2:])
        else:
            self.select("pipeline")
        if self.panel is not None:
            skip = 1 if place[:1] == ("data",) else 2
            self.panel.focus(tuple(str(part) for part in place[skip:] if part != "settings"))

    def _edited(self, pipeline: Pipeline, words: str, merge: str) -> None:
        self.document.apply(pipeline, words, merge)


def _place(pipeline: Pipeline, chosen: Card) -> tuple[str | int, ...]:
    if chosen.kind == "source":
        return ("sources", next(n for n, node in enumerate(pipeline.sources) if node.id == chosen.id))
    if chosen.kind == "stage":
        return ("stages", pipeline.stage_ids.index(chosen.id))
    return ("data",) if chosen.kind == "data" else ()


def _free_place(problem: Problem, chosen: Card) -> SettingPath | None:
    """Where in a card's form a problem of what is free stands; None where it is of another card."""
    if problem.place[:2] != ("search", "free") or len(problem.place) < 3:
        return None
    group, _, rest = str(problem.place[2]).partition(".")
    id, _, way = rest.partition(".")
    return tuple(way.split(".")) if (group, id) == (f"{chosen.kind}s", chosen.id) else None
