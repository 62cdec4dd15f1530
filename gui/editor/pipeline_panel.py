"""What stands beside the list for the pipeline itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFormLayout, QLabel, QLineEdit, QPlainTextEdit, QWidget

from core.document import edits, stage_tree
from core.document.edits import titles
from core.document.pipeline import Pipeline
from gui.base.translation import tr
from gui.editor import free_settings, search_panel
from gui.editor.backbones_panel import BackbonesEditor
from gui.editor.grid_panel import GridEditors
from gui.editor.panels import Panel
from gui.editor.search_panel import SearchEditor
from gui.widgets.buttons import line, text
from gui.widgets.combo import Combo
from gui.widgets.fields import show_text
from gui.widgets.form import LABEL_WIDTH, SettingPath


class PipelinePanel(Panel):
    """The document itself: name, description, what is compared with what, seeds."""

    def __init__(self) -> None:
        super().__init__()
        self.name = QLineEdit()
        self.name.setObjectName("pipeline-name")
        self.name.setAccessibleName(tr("Name of the pipeline"))
        self.name.setProperty("role", "name")
        self.name.setMaxLength(120)
        self.name.editingFinished.connect(self._renamed)
        self.about = _AboutEdit()
        self.about.left.connect(self._described)
        self.baseline, self.also, self.final = Combo(), Combo(), Combo()
        self.seeds = QLineEdit()
        self.seeds.setObjectName("pipeline-seeds")
        self.seeds.setAccessibleName(tr("Seeds"))
        self.seeds.editingFinished.connect(self._seeded)
        self.seed_problem = text("", "problem", wrap=True)
        self.column.addWidget(self.name)
        self.column.addWidget(text(tr("The pipeline"), "section"))
        self.column.addWidget(line())
        self.rows = rows = QFormLayout()
        rows.setHorizontalSpacing(10)
        rows.setVerticalSpacing(10)
        rows.addRow(_label(tr("Description"), self.about), self.about)
        for box, key, words in (
            (
                self.baseline,
                "baseline",
                tr("Stages are compared with this one; of several each with the last one before it"),
            ),
            (self.also, "also", tr("A further baseline: each stage is compared with the last one before it")),
            (self.final, "final", tr("The model of this stage is the result")),
        ):
            name = tr("and with") if key == "also" else key.capitalize()
            box.setObjectName(f"pipeline-{key}")
            box.setAccessibleName(tr("Further baseline") if key == "also" else name)
            box.setToolTip(words)
            box.setMaximumWidth(320)
            rows.addRow(_label(name, box), box)
        self.baseline.activated.connect(lambda _index: self._compared_with(self.baseline.currentData()))
        self.also.activated.connect(lambda _index: self._compared_with(self.also.currentData()))
        self.final.activated.connect(lambda _index: self._finished_by())
        self.seeds.setMaximumWidth(320)
        rows.addRow(_label(tr("Seeds"), self.seeds), self.seeds)
        rows.addRow(_label(""), self.seed_problem)
        rows.addRow(
            _label(""),
            text(
                tr("Whole numbers with commas between; the whole pipeline runs once for each."),
                "help",
                wrap=True,
            ),
        )
        self.column.addLayout(rows)
        self.backbones = BackbonesEditor()
        self.backbones.edited.connect(self._spread)
        self.column.addWidget(self.backbones)
        self.grid = GridEditors()
        self.grid.edited.connect(self._gridded)
        self.column.addWidget(self.grid)
        self.search = SearchEditor()
        self.search.edited.connect(self._searched)
        self.column.addWidget(self.search)
        self.notes = text("", "muted", wrap=True)
        self.column.addWidget(self.notes)
        self.column.addStretch(1)

    def show_pipeline(self, pipeline: Pipeline, base: Path, problems: Mapping[SettingPath, str]) -> None:
        self.pipeline = pipeline
        show_text(self.name, pipeline.name)
        show_text(self.about, pipeline.about)
        show_text(self.seeds, ", ".join(map(str, pipeline.axes.seed)))
        for box, value, unset, standing in (
            (self.baseline, ",".join(pipeline.baseline), tr("The first stage"), pipeline.active[:1]),
            (self.final, pipeline.final, tr("The last stage"), pipeline.active[-1:]),
        ):
            box.clear()
            box.addItem(f"{unset} ({standing[0].title})" if standing else unset, "")
            for node in pipeline.active:
                box.addItem(node.title, node.id)
            if box is self.baseline:
                self._offer_several(pipeline)
            box.setCurrentIndex(max(0, box.findData(value)))
        self._offer_further(pipeline)
        self._show_seed_problem(problems.get(("axes",), ""))
        self.backbones.show_pipeline(pipeline, problems)
        self.grid.show_pipeline(pipeline, problems)
        self.search.show_pipeline(pipeline, search_panel.problem_of(problems))
        self.notes.setText("\n\n".join(pipeline.notes))

    def show_validation_images(self, count: int | None) -> None:
        self.grid.show_validation_images(count)

    def _offer_several(self, pipeline: Pipeline) -> None:
        """Several baselines among the choices: one a source where there are several, and those of the file."""
        own = ",".join(stage_tree.first_of_each_source(pipeline))
        if "," in own:
            self.baseline.addItem(tr("The first stage of each network"), own)
        written = ",".join(pipeline.baseline)
        if "," in written and written != own:
            names = titles(pipeline)
            self.baseline.addItem(", ".join(names.get(id, id) for id in pipeline.baseline), written)

    def _offer_further(self, pipeline: Pipeline) -> None:
        self.also.clear()
        self.also.addItem(tr("No further one"), ",".join(pipeline.baseline))
        for node in pipeline.active:
            if node.id not in pipeline.baseline:
                self.also.addItem(node.title, ",".join((*pipeline.baseline, node.id)))
        self.rows.setRowVisible(self.also, bool(pipeline.baseline) and self.also.count() > 1)

    def _show_seed_problem(self, words: str) -> None:
        self.seed_problem.setText(f"⚠ {words}" if words else "")
        self.rows.setRowVisible(self.seed_problem, bool(words))

    def _renamed(self) -> None:
        name = self.name.text().strip()
        assert self.pipeline is not None
        if not name:
            self.name.setText(self.pipeline.name)
        elif name != self.pipeline.name:
            self.edited.emit(edits.set_key(self.pipeline, "name", name), tr("Rename"), "")

    def _described(self) -> None:
        assert self.pipeline is not None
        if self.about.toPlainText() != self.pipeline.about:
            self.edited.emit(
                edits.set_key(self.pipeline, "about", self.about.toPlainText()), tr("Describe"), ""
            )

    def _compared_with(self, ids: str) -> None:
        assert self.pipeline is not None
        changed = edits.set_baselines(self.pipeline, [id for id in ids.split(",") if id])
        self.edited.emit(changed, tr("Choose the baseline"), "")

    def _finished_by(self) -> None:
        assert self.pipeline is not None
        changed = edits.set_key(self.pipeline, "final", self.final.currentData())
        self.edited.emit(changed, tr("Choose the final"), "")

    def _seeded(self) -> None:
        assert self.pipeline is not None
        words = self.seeds.text().replace(",", " ").split()
        try:
            changed = edits.set_seeds(self.pipeline, [int(word) for word in words])
        except ValueError:
            self._show_seed_problem(tr("Expected whole numbers that differ, such as 42, 43, 44."))
            return
        self._show_seed_problem("")
        if changed.axes != self.pipeline.axes:
            self.edited.emit(changed, tr("Change seeds"), "")

    def _spread(self, axis: dict[str, Any] | None) -> None:
        assert self.pipeline is not None
        changed = edits.set_backbones(self.pipeline, axis)
        self.edited.emit(changed, tr("Change the backbones"), "")

    def _gridded(self, number: int, grid: dict[str, Any] | None) -> None:
        assert self.pipeline is not None
        try:
            changed = edits.set_grid(self.pipeline, number, grid)
        except ValueError:
            return  # two settings of the same name: the form shows what is there
        self.edited.emit(changed, tr("Change the grid"), "")

    def _searched(self, search: dict[str, Any] | None) -> None:
        assert self.pipeline is not None
        try:
            changed = edits.set_search(self.pipeline, search)
        except ValidationError as error:
            self.search.show_pipeline(self.pipeline, free_settings.reason(error))
            return
        self.edited.emit(changed, tr("Change the search"), "")

    def retheme(self) -> None:
        self.search.retheme()

    def rename(self) -> None:
        self.name.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.name.selectAll()


class _AboutEdit(QPlainTextEdit):
    """A few lines of text; `left` is emitted when the cursor leaves them."""

    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("pipeline-about")
        self.setAccessibleName(tr("Description"))
        self.setTabChangesFocus(True)
        self.setMaximumHeight(110)

    def focusOutEvent(self, event: object) -> None:
        super().focusOutEvent(event)  # type: ignore[arg-type]
        self.left.emit()


def _label(words: str, buddy: QWidget | None = None) -> QLabel:
    label = text(words)
    label.setFixedWidth(LABEL_WIDTH)
    if buddy is not None:
        label.setBuddy(buddy)
    return label
