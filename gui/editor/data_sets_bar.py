"""Which data set of an axis the form of the data shows, and the axis itself: add, rename, remove."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from core.data.catalogue import SOURCES
from core.document import edits
from core.document.data_axis import data_sets
from core.document.model import LONGEST_DATA_NAME
from core.document.pipeline import Pipeline
from gui.base.translation import tr
from gui.widgets.buttons import text
from gui.widgets.combo import Combo
from gui.widgets.fields import show_text

_FIELD = 220


class DataSetsBar(QWidget):
    """Above the form of the data section.

    Attributes:
        shown: the data set whose settings are shown; "" is what all have in common.

    Signals:
        chosen: another data set is to be shown.
        edited: the axis as plain data, or None for none; and what was done, in words.
    """

    chosen = Signal()
    edited = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self._pipeline: Pipeline | None = None
        self.shown = ""
        self.which, self.name = Combo(), QLineEdit()
        self.add, self.remove = QPushButton(tr("Add a data set")), QPushButton(tr("Remove"))
        self.own = text("", "muted", wrap=True)
        self.problem = text("", "problem", wrap=True)
        self.help = text("", "help", wrap=True)
        for widget, name, spoken in (
            (self.which, "data-sets-which", tr("Settings of")),
            (self.name, "data-sets-name", tr("Name of the data set")),
            (self.add, "data-sets-add", tr("Add a data set")),
            (self.remove, "data-sets-remove", tr("Remove this data set")),
        ):
            widget.setObjectName(name)
            widget.setAccessibleName(spoken)
        self.which.setToolTip(tr("Settings of every data set, or of one alone"))
        self.name.setMaxLength(LONGEST_DATA_NAME)
        self.remove.setToolTip(tr("Take this data set out; its files stay"))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.one = _row(self.name, self.remove)
        column.addWidget(_row(self.which, self.add))
        column.addWidget(self.one)
        for part in (self.own, self.problem, self.help):
            column.addWidget(part)
        for later in (self.which, self.one, self.own, self.problem):  # until there is something to show
            later.hide()
        self.which.activated.connect(lambda _index: self.show_data_set(str(self.which.currentData())))
        self.name.editingFinished.connect(self._rename)
        self.add.clicked.connect(self._add)
        self.remove.clicked.connect(self._remove)

    def show_pipeline(self, pipeline: Pipeline, problems: Mapping[tuple[str, ...], str]) -> None:
        """Show the document's axis, and what is wrong with it."""
        self._pipeline, names = pipeline, data_sets(pipeline)
        self.shown = self.shown if self.shown in names else ""
        self.which.clear()
        self.which.addItem(tr("Every data set"), "")
        for name in names:
            self.which.addItem(name, name)
        self.which.setCurrentIndex(self.which.findData(self.shown))
        self._show_chosen()
        words = next((words for place, words in problems.items() if place[:2] == ("axes", "data")), "")
        self.problem.setText(f"⚠ {words}" if words else "")
        self.problem.setVisible(bool(words))

    def show_data_set(self, name: str) -> None:
        """Show the settings of this data set, or of all."""
        self.shown = name
        self.chosen.emit()

    def _show_chosen(self) -> None:
        assert self._pipeline is not None
        axis, name = self._pipeline.axes.data, self.shown
        show_text(self.name, name)
        own = axis.own.get(name, {}) if axis is not None else {}
        self.own.setText(
            tr(
                "For this one alone: {settings}",
                settings=", ".join(f"{path} {value}" for path, value in own.items()),
            )
        )
        self.which.setVisible(axis is not None)
        self.one.setVisible(bool(name))
        self.own.setVisible(bool(own))
        if axis is None:
            words = tr("The pipeline can run on several data sets, one run for each.")
        elif name:
            words = tr(
                "What is set here holds for this data set. Settings of stages for one data set alone are written in the "
                "file, below axes, data, set."
            )
        else:
            words = tr(
                "What is set here holds for every data set that does not say otherwise. Each is a run of its own, with its "
                "own baseline; forecasts are for the first."
            )
        self.help.setText(words)

    def _axis(self) -> dict[str, Any]:
        """The axis; where there is none yet, over the data set of the document."""
        assert self._pipeline is not None
        axis = edits.plain_data_axis(self._pipeline)
        if axis is not None:
            return axis
        source = SOURCES.get(self._pipeline.data.source)
        title = source.title if source is not None else self._pipeline.data.source
        return {"values": {title[:LONGEST_DATA_NAME].strip(): {}}}

    def _add(self) -> None:
        axis = self._axis()
        number = len(axis["values"]) + 1
        while (name := f"Data set {number}") in axis["values"]:
            number += 1
        self.shown = name
        self.edited.emit({**axis, "values": {**axis["values"], name: {}}}, tr("Add a data set"))

    def _remove(self) -> None:
        axis = self._axis()
        values = {name: data for name, data in axis["values"].items() if name != self.shown}
        self.edited.emit({**axis, "values": values} if values else None, tr("Remove a data set"))

    def _rename(self) -> None:
        axis, old, new = self._axis(), self.shown, self.name.text().strip()
        if not old or new == old:
            return
        if not new or new in axis["values"]:
            self.problem.setText("⚠ " + tr("Expected a name that no other data set has."))
            self.problem.setVisible(True)
            return
        renamed = {
            key: {new if name == old else name: one for name, one in axis[key].items()}
            for key in ("values", "set")
            if key in axis
        }
        self.shown = new  # the field stays, and with it the keyboard
        self.edited.emit(renamed, tr("Rename a data set"))


def _row(field: QWidget, button: QWidget) -> QWidget:
    field.setMaximumWidth(_FIELD)
    row = QWidget()
    inside = QHBoxLayout(row)
    inside.setContentsMargins(0, 0, 0, 0)
    inside.setSpacing(8)
    inside.addWidget(field, 1)
    inside.addWidget(button)
    inside.addStretch(1)
    return row
