"""The grid of a document: one stage tried with every combination of one or two of its settings."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFormLayout, QLabel, QLineEdit, QSpinBox, QWidget

from core.common.declarations import ParameterDeclaration, declarations, value_at
from core.document.grid_values import values_around
from core.document.pipeline import Grid, Pipeline
from core.stages.base import ModelStage
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.fields import show_text
from gui.widgets.form import LABEL_WIDTH

_FIELD = 320
_KINDS = ("int", "float", "bool", "choice")


class GridEditor(QWidget):
    """Rows for the stage, its settings with the values to try, and the number of images.

    Signals:
        edited: the grid as plain data, or None for no grid.
    """

    edited = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._pipeline: Pipeline | None = None
        self.stage = Combo()
        self.names = (Combo(), Combo())
        self.values = (QLineEdit(), QLineEdit())
        self.images = QSpinBox()
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
            widget.setObjectName(object_name)
            widget.setAccessibleName(spoken)
            widget.setMaximumWidth(_FIELD)
        self.stage.activated.connect(self._chosen)
        self.images.setRange(1, 10_000_000)
        self.images.setSingleStep(500)
        self.images.setSuffix(tr(" validation images"))
        self.images.setMinimumWidth(220)
        self.images.editingFinished.connect(self._tell)

    # showing

    def show_pipeline(self, pipeline: Pipeline, problem: str) -> None:
        """Show the document's grid and what is wrong with it."""
        self._pipeline, grid = pipeline, pipeline.axes.grid
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
        field, grid = numbers[0], self._pipeline.axes.grid if self._pipeline is not None else None
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
        if self._pipeline is None or self._pipeline.axes.grid is None:
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
        if grid != self._pipeline.axes.grid.model_dump(mode="json"):
            self.edited.emit(grid)


def problem_of(problems: Mapping[tuple[str, ...], str]) -> str:
    """The first problem of the grid."""
    return next((words for where, words in problems.items() if where[:2] == ("axes", "grid")), "")


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
