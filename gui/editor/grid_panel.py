"""The grids of a document: each one stage tried with every combination of one or two of its settings."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFormLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from core.common.declarations import ParameterDeclaration, declarations, value_at
from core.document.grid_values import values_around
from core.document.pipeline import Grid, Pipeline
from core.stages.base import ModelStage
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.fields import show_text
from gui.widgets.form import LABEL_WIDTH
from gui.widgets.value_boxes import SpinBox

_FIELD = 320
_KINDS = ("int", "float", "bool", "choice")


class GridEditor(QWidget):
    """Rows of one grid: the stage, its settings with the values to try, and the number of images.

    Signals:
        edited: the grid as plain data, or None for no grid.
    """

    edited = Signal(object)

    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self._pipeline: Pipeline | None = None
        self._validation_images: int | None = None
        self._number = number
        self.stage = Combo()
        self.names = (Combo(), Combo())
        self.values = (QLineEdit(), QLineEdit())
        self.images = SpinBox()
        self.problem = text("", "problem", wrap=True)
        self.help = text("", "help", wrap=True)
        self._named()
        self.rows = rows = QFormLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setHorizontalSpacing(10)
        rows.setVerticalSpacing(8)
        rows.addRow(_label(tr("Grid over"), self.stage), self.stage)
        for number, (name, values) in enumerate(zip(self.names, self.values, strict=True)):
            rows.addRow(_label(tr("Setting") if number == 0 else tr("Second setting"), name), name)
            rows.addRow(_label(tr("Values"), values), values)
        rows.addRow(_label(tr("Judged on"), self.images), self.images)
        rows.addRow(_label(""), self.problem)
        rows.addRow(_label(""), self.help)

    def _named(self) -> None:
        widgets: list[tuple[QWidget, str, str]] = [
            (self.stage, "grid-stage", tr("Grid over")),
            (self.images, "grid-images", tr("Images that the grid is judged on")),
        ]
        for number, (name, values) in enumerate(zip(self.names, self.values, strict=True), 1):
            widgets += [(name, f"grid-setting-{number}", tr("Setting {number} of the grid", number=number))]
            widgets += [(values, f"grid-values-{number}", tr("Values of setting {number}", number=number))]
            name.activated.connect(lambda _index, number=number - 1: self._named_setting(number))
            values.editingFinished.connect(self._tell)
            values.setPlaceholderText(tr("Values with commas between"))
        for widget, object_name, spoken in widgets:
            ordinal = f" {self._number + 1}" if self._number else ""
            widget.setObjectName(object_name + ordinal.replace(" ", "-of-"))
            widget.setAccessibleName(spoken + ordinal)
            widget.setMaximumWidth(_FIELD)
        self.stage.activated.connect(self._chosen)
        self.images.setRange(1, 10_000_000)
        self.images.setSingleStep(500)
        self.images.setMinimumWidth(200)
        self.images.valueChanged.connect(lambda _value: self._count())
        self._count()
        self.images.editingFinished.connect(self._tell)

    # showing

    def show_pipeline(self, pipeline: Pipeline, problem: str) -> None:
        """Show the document's grid of this number and what is wrong with it."""
        self._pipeline = pipeline
        grid = self._grid
        self.stage.clear()
        self.stage.addItem(tr("No grid"), "")
        for node in pipeline.active:
            if isinstance(node.stage, ModelStage):
                self.stage.addItem(node.title, node.id)
        if grid is not None and self.stage.findData(grid.stage) < 0:
            self.stage.addItem(grid.stage, grid.stage)
        self.stage.setCurrentIndex(max(0, self.stage.findData(grid.stage)) if grid else 0)
        self._show_settings(grid)
        self.images.setValue(grid.images if grid is not None else Grid.model_fields["images"].default)
        for row in (*self.names, *self.values, self.images):
            self.rows.setRowVisible(row, grid is not None)
        self.rows.setRowVisible(self.values[1], grid is not None and bool(self.names[1].currentData()))
        self._show_problem(problem)
        self.help.setText(self._words(grid))

    def show_validation_images(self, count: int | None) -> None:
        """How many validation images there are; None while that is not known."""
        self._validation_images = count
        self._count()

    def _count(self) -> None:
        """Of more images than there are, all are taken."""
        count = self._validation_images
        few = count is not None and count < self.images.value()
        suffix = tr(" (all {count} images)", count=count) if few else tr(" validation images")
        self.images.setSuffix(suffix)

    @property
    def _grid(self) -> Grid | None:
        grids = self._pipeline.axes.grids if self._pipeline is not None else ()
        return grids[self._number] if self._number < len(grids) else None

    def _show_settings(self, grid: Grid | None) -> None:
        chosen = list(grid.settings.items()) if grid is not None else []
        for number, (box, line) in enumerate(zip(self.names, self.values, strict=True)):
            box.clear()
            if number:
                box.addItem(tr("None"), "")
            for field in self._fields():
                box.addItem(field.label, field.name)
            name, values = chosen[number] if number < len(chosen) else ("", ())
            if name and box.findData(name) < 0:
                box.addItem(name, name)
            box.setCurrentIndex(max(0, box.findData(name)))
            show_text(line, ", ".join(_spelled(value) for value in values))

    def _words(self, grid: Grid | None) -> str:
        if grid is None:
            return tr("A grid trains one stage with every combination of some settings and shows a heat map.")
        count = 1
        for values in grid.settings.values():
            count *= len(values)
        return tr(
            "{count} combinations are trained from the same network and judged on validation images; "
            "none is exported or timed. With several seeds the first one is used.",
            count=count,
        )

    def _show_problem(self, words: str) -> None:
        self.problem.setText(f"⚠ {words}" if words else "")
        self.rows.setRowVisible(self.problem, bool(words))

    # editing

    def _fields(self) -> list[ParameterDeclaration]:
        """Settings of the chosen stage that a grid can vary."""
        id = str(self.stage.currentData() or "")
        if self._pipeline is None or id not in self._pipeline.stage_ids:
            return []
        return [f for f in declarations(self._pipeline.stage(id).stage.Settings) if f.kind in _KINDS]

    def _chosen(self) -> None:
        """Another stage: a first setting around its present value."""
        id, fields = str(self.stage.currentData() or ""), self._fields()
        numbers = [field for field in fields if field.is_share] or [f for f in fields if f.kind != "group"]
        if not id or not numbers:
            self.edited.emit(None)
            return
        field, grid = numbers[0], self._grid
        images = grid.images if grid is not None else Grid.model_fields["images"].default
        self.edited.emit({"stage": id, "settings": {field.name: self._around(field)}, "images": images})

    def _named_setting(self, number: int) -> None:
        field = next((f for f in self._fields() if f.name == self.names[number].currentData()), None)
        self.values[number].setText(
            ", ".join(map(_spelled, self._around(field))) if field is not None else ""
        )
        self._tell()

    def _around(self, field: ParameterDeclaration) -> list[Any]:
        """Values around the present one of the chosen stage."""
        assert self._pipeline is not None
        return values_around(
            field, value_at(self._pipeline.stage(str(self.stage.currentData())).settings, field)
        )

    def _example(self, field: ParameterDeclaration | None) -> str:
        return ", ".join(map(_spelled, self._around(field))) if field is not None else "0.3, 0.5"

    def _tell(self) -> None:
        if self._grid is None:
            return
        fields = {field.name: field for field in self._fields()}
        settings: dict[str, list[Any]] = {}
        for box, line in zip(self.names, self.values, strict=True):
            name = str(box.currentData() or "")
            if not name:
                continue
            values = _read(fields.get(name), line.text())
            if not values:
                self._show_problem(
                    tr(
                        "Expected values of {box}, such as {example}.",
                        box=box.currentText(),
                        example=self._example(fields.get(name)),
                    )
                )
                return
            settings[name] = values
        grid = {"stage": str(self.stage.currentData()), "settings": settings, "images": self.images.value()}
        if grid != self._grid.model_dump(mode="json"):
            self.edited.emit(grid)


class GridEditors(QWidget):
    """The document's grids one below the other, and a button for another one.

    Signals:
        edited: a grid's number, and the grid as plain data, or None for no grid.
    """

    edited = Signal(int, object)

    def __init__(self) -> None:
        super().__init__()
        self.editors: list[GridEditor] = []
        self.more = QPushButton(tr("Add a grid"))
        self.more.setObjectName("grid-more")
        self.more.setToolTip(tr("Try this or another stage over other settings too"))
        self.more.clicked.connect(self._add)
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(0, 0, 0, 0)
        self.column.setSpacing(10)
        self.column.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        self._grids: tuple[Grid, ...] = ()
        self._validation_images: int | None = None
        self._editor(0)

    @property
    def problem(self) -> QLabel:
        """The line for what is wrong with the first grid."""
        return self.editors[0].problem

    def show_pipeline(self, pipeline: Pipeline, problems: Mapping[tuple[str, ...], str]) -> None:
        """Show the document's grids and what is wrong with them."""
        self._grids = pipeline.axes.grids
        count = len(self._grids)
        for number in range(max(1, count)):
            self._editor(number).show_pipeline(pipeline, _problem_of(problems, number, count > 1))
        for number, editor in enumerate(self.editors):
            editor.setVisible(number < max(1, count))
        self.more.setVisible(bool(count))

    def show_validation_images(self, count: int | None) -> None:
        """How many validation images there are; None while that is not known."""
        self._validation_images = count
        for editor in self.editors:
            editor.show_validation_images(count)

    def _editor(self, number: int) -> GridEditor:
        while number >= len(self.editors):
            place = len(self.editors)
            editor = GridEditor(place)
            editor.edited.connect(lambda grid, place=place: self.edited.emit(place, grid))
            self.column.insertWidget(place, editor)
            self.editors.append(editor)
            editor.show_validation_images(self._validation_images)
        return self.editors[number]

    def _add(self) -> None:
        self.edited.emit(len(self._grids), self._grids[-1].model_dump(mode="json"))


def _problem_of(problems: Mapping[tuple[str, ...], str], number: int, several: bool) -> str:
    """The first problem of a grid; of the only one where there are not several."""
    place = ("axes", "grid", str(number)) if several else ("axes", "grid")
    return next((words for where, words in problems.items() if where[: len(place)] == place), "")


def _spelled(value: Any) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _read(field: ParameterDeclaration | None, words: str) -> list[Any]:
    """The values in a line; empty where one cannot be read."""
    parts = [part.strip() for part in words.split(",") if part.strip()]
    try:
        if field is not None and field.kind == "bool":
            return [{"true": True, "false": False}[part.lower()] for part in parts]
        if field is not None and field.kind in ("int", "float"):
            return [int(part) if field.kind == "int" else float(part) for part in parts]
    except (ValueError, KeyError):
        return []
    return parts


def _label(words: str, buddy: QWidget | None = None) -> QLabel:
    label = text(words)
    label.setFixedWidth(LABEL_WIDTH)
    if buddy is not None:
        label.setBuddy(buddy)
    return label
